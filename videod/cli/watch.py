"""watch: queue each video that appears in a folder."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from typing import Any

from videod.cli.where import config, connect, place
from videod.config import Settings
from videod.config.values import file_path
from videod.errors import ConfigError, RedisAway, ToolMissing, UsageError, VideodError
from videod.jobqueue import Connection
from videod.jobqueue.browse import Browse
from videod.jobqueue.producer import push
from videod.logs import Logs
from videod.signals import STOP, Signals
from videod.sources.watch import Door, Watcher
from videod.transfer.paths import below

# seconds between two looks at what was not told, and tries while Redis is away
TICK, AWAY = 0.5, 2.0


def watch(arguments: argparse.Namespace) -> int:
    """Watch a folder until SIGTERM or SIGINT."""
    settings = _settings(arguments)
    root = _root(arguments.dir, settings)
    if arguments.into and arguments.into not in settings.presets:
        known = ", ".join(sorted(settings.presets))
        raise UsageError(f"no preset: {arguments.into}: choose one of {known}")
    signals = Signals()
    signals.install()
    # what `written` may cause
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    log = Logs(settings, foreground=True).log
    connection = connect(settings)
    watcher = Watcher(root, arguments.into or "", settings, _door(connection, settings), log)
    observer = _observer(root, watcher, signals)
    log.info("watching %s: converted by node %s", root, settings.node)
    away = False
    try:
        while not any(number in STOP for number in signals.pending()):
            try:
                watcher.step()
                if away:
                    log.info("Redis is back")
                away = False
            except RedisAway as error:
                if not away:
                    log.warning("%s: what appears is queued when it is back", error)
                away = True
            signals.wait(AWAY if away else TICK)
    finally:
        observer.stop()
        watcher.close()
    log.info("stopped watching %s", root)
    return 0


def _settings(arguments: argparse.Namespace) -> Settings:
    # a unit names its environment and may start before the daemon does
    named = arguments.env or os.environ.get("VIDEOD_ENV")
    return config(arguments.config).settings(named) if named else place(arguments.config, None).settings


def _root(given: str, settings: Settings) -> Path:
    root = Path(os.path.realpath(given))
    if not root.is_dir():
        raise VideodError(f"no such folder: {given}: make it, or name another")
    if not below(str(root), settings.allow_paths):
        raise ConfigError(f"the folder is not below allow_paths: {root}: {settings.file}: add it there")
    ours = {name: str(getattr(settings, name)) for name in ("state_dir", "work_dir", "download_dir", "debug_log")}
    if settings.upload.startswith("file:"):
        ours["upload"] = file_path(settings.upload).partition("{")[0]
    for name, path in ours.items():
        if below(os.path.realpath(path), [str(root)]):
            raise ConfigError(f"what videod writes would be taken up: {name}: {path}: put it outside of {root}")
    return root


def _door(connection: Connection, settings: Settings) -> Door:
    browse = Browse(settings, connection)
    return Door(lambda raw, node: push(connection, settings, raw, node=node, batch=False), browse.ended, browse.results)


def _observer(root: Path, watcher: Watcher, signals: Signals) -> Any:
    """A thread that hints at files. OSError of the kernel's limits is told with what to do."""
    try:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer
    except ImportError:
        raise ToolMissing("watchdog is not installed: watch: pip install 'videod[watch]'") from None

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type in {"closed", "moved", "created"}:
                at = event.dest_path if event.event_type == "moved" else event.src_path
                watcher.hint(Path(os.fsdecode(at)), closed=event.event_type == "closed")
                signals.wake()

    observer = Observer()
    try:
        observer.schedule(Handler(), str(root), recursive=True)
        observer.start()
    except OSError as error:
        raise VideodError(f"cannot watch: {root}: {error.strerror}: see fs.inotify.max_user_watches") from None
    return observer
