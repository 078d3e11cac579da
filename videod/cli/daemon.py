"""start, run, stop, restart, reload."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from videod import boot, daemonize, heap, note
from videod.cli.where import config, connect, look, place, salvaged
from videod.config import Settings
from videod.errors import AlreadyRunning, ConfigError, NotRunning, UsageError, VideodError
from videod.jobqueue.browse import Browse
from videod.logs import Logs
from videod.pidfile import PidFile
from videod.service import Service
from videod.signals import Signals
from videod.systemd import Systemd

SHOW_SECONDS = 1.0
# a daemon looks at its signals once a second; one that is busier is not waited for
RELOAD_SECONDS = 3.0


def start(arguments: argparse.Namespace) -> int:
    """Daemonize; returns when the daemon serves."""
    ini = config(arguments.config)
    settings = ini.settings(_env(arguments))
    pid = launch(settings, ini.file)
    if arguments.json:
        print(json.dumps({"env": settings.env, "pid": pid, "node": settings.node}))
    return 0


def _env(arguments: argparse.Namespace) -> str:
    env: str | None = arguments.env or os.environ.get("VIDEOD_ENV")
    if not env:
        raise UsageError(f"which environment?: command line: videod {arguments.verb} ENV")
    return env


def launch(settings: Settings, file: str) -> int:
    """Start a daemon; its pid, once it serves."""
    _refuse_second(settings)
    signals = Signals()
    return daemonize.start(settings, signals.install, _server(settings, signals, file, foreground=False))


def run(arguments: argparse.Namespace) -> int:
    """Serve in the foreground."""
    ini = config(arguments.config)
    settings = ini.settings(_env(arguments))
    _refuse_second(settings)
    signals = Signals()
    signals.install()
    serve = _server(settings, signals, ini.file, foreground=True)
    code = daemonize.inside(settings, serve, lambda: None, detach=False)
    # threads that a forced end left behind would hold up the interpreter's own exit
    sys.stderr.flush()
    os._exit(code)


def _refuse_second(settings: Settings) -> None:
    """Tell early and cheaply; the lock itself decides later."""
    here = look(settings)
    if here.running and here.holder:
        raise AlreadyRunning(f"already running with pid {here.holder.pid}: {settings.pid_file}: stop it first")


def _server(settings: Settings, signals: Signals, file: str, *, foreground: bool) -> daemonize.Serve:
    def load_again() -> Settings:
        return config(file).settings(settings.env)

    reloads = itertools.count(1)

    def reloaded(left: list[str]) -> None:
        with contextlib.suppress(OSError):  # the log says it, too
            note.write(settings, reloads=next(reloads), left=tuple(left))

    def serve(ready: Callable[[], None]) -> int:
        systemd = Systemd()
        heap.steady()
        logs = Logs(settings, foreground=foreground)
        logs.log.info("starting: %s, pid %d, %d slots", settings.env, os.getpid(), settings.max_worker)
        before = note.read(note.place(settings))
        note.write(settings)
        try:
            rooms = boot.build(settings, logs.log, orderly=before is not None and before.code is not None)
        except VideodError as error:
            logs.log.error("cannot start: %s", error)
            raise
        try:
            code = Service(settings, rooms, signals, logs, systemd, load_again, reloaded).run(ready)
        finally:
            rooms.close()
        note.write(settings, code)
        return code

    return serve


def stop(arguments: argparse.Namespace) -> int:
    """SIGTERM to the lock's owner, then wait; 0 also when nothing ran, 1 when something was given back.

    An ini that is wrong keeps nobody from it: what is needed is where the pidfile lies.
    """
    try:
        here = salvaged(arguments.config, arguments.env)
    except NotRunning:
        here = None
    stopped = here is not None and here.running
    if here and here.holder is None:
        raise VideodError(f"cannot tell whether a daemon runs: {here.settings.pid_file}: become root or its user")
    code = 0
    if here and stopped:
        code = halt(here.settings, now=arguments.now, quiet=arguments.json, blind=bool(here.faults))
    if arguments.json:
        print(json.dumps({"stopped": stopped, "requeued": code != 0}))
    elif not stopped:
        print("no daemon runs here")
    elif code:
        print("stopped; what still ran was put back and runs again after the next start")
    return code


def restart(arguments: argparse.Namespace) -> int:
    """Stop, if one runs, and start."""
    here = place(arguments.config, arguments.env)
    # wrong settings must not take a daemon down that runs well
    boot.check_tools(here.settings)
    if here.running:
        halt(here.settings, now=arguments.now, quiet=arguments.json)
    arguments.env = here.settings.env
    return start(arguments)


def reload(arguments: argparse.Namespace) -> int:
    """SIGHUP, after a look at the ini, so that its faults are seen here; says what needs a restart."""
    try:
        here = place(arguments.config, arguments.env)
    except ConfigError as error:
        raise ConfigError(f"{error}: mend it; a daemon that runs keeps the settings it has") from None
    if not here.running:
        raise NotRunning(f"no daemon runs here: videod start {here.settings.env}")
    daemon, pid = _open_daemon(here.settings)
    path = note.place(here.settings, pid)
    before = note.read(path)
    try:
        signal.pidfd_send_signal(daemon, signal.SIGHUP)
    except PermissionError:
        raise _may_not_signal(here.settings, pid) from None
    finally:
        os.close(daemon)
    left = _left(path, pid, before.reloads if before and before.pid == pid else 0)
    if left is None:
        text = f"the daemon does not say what it took up: {here.settings.debug_log}: see its last lines"
        print(f"videod: {text}", file=sys.stderr)
    elif left:
        names = ", ".join(left)
        print(f"videod: needs a restart: {names}: videod restart {here.settings.env}", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"reloaded": True, "pid": pid, "needs_restart": left or []}))
    return 0


def _left(path: Path, pid: int, before: int) -> list[str] | None:
    """What the daemon did not take up, once it has read the ini; None where it does not say."""
    deadline = time.monotonic() + RELOAD_SECONDS
    while time.monotonic() < deadline:
        told = note.read(path)
        if told and told.pid == pid and told.reloads > before:
            return list(told.left)
        if told is None or told.pid != pid or told.code is not None:
            return None
        time.sleep(0.02)
    return None


def _open_daemon(settings: Settings) -> tuple[int, int]:
    """A pidfd of the daemon: what we signal is what holds the lock, not a process that got its number later."""
    gone = NotRunning(f"no daemon runs here: videod start {settings.env}")
    holder = PidFile(settings.pid_file).look()
    if not holder.held or holder.pid is None:
        raise gone
    try:
        daemon = os.pidfd_open(holder.pid)
    except ProcessLookupError:
        raise gone from None
    if PidFile(settings.pid_file).look() != holder:
        os.close(daemon)
        raise gone
    return daemon, holder.pid


def halt(settings: Settings, *, now: bool, quiet: bool, blind: bool = False) -> int:
    """End the daemon and wait until it is gone; its exit code. `blind`: without a look at what it waits for."""
    daemon, pid = _open_daemon(settings)
    jobs, path = None, note.place(settings, pid)
    with contextlib.suppress(VideodError):
        jobs = None if blind else Browse(settings, connect(settings))
    try:
        signal.pidfd_send_signal(daemon, signal.SIGTERM)
        if now:  # another number: two equal signals may arrive as one
            signal.pidfd_send_signal(daemon, signal.SIGINT)
        shown = ""
        while not select.select([daemon], [], [], SHOW_SECONDS)[0]:
            waits = _waits_for(jobs)
            if waits != shown and not quiet:
                print(waits, flush=True)
            shown = waits
    except PermissionError:
        raise _may_not_signal(settings, pid) from None
    finally:
        os.close(daemon)
    noted = note.read(path)
    return noted.code if noted and noted.pid == pid and noted.code is not None else 1


def _may_not_signal(settings: Settings, pid: int) -> VideodError:
    return VideodError(f"may not signal pid {pid}: {settings.pid_file}: become root or its user")


def _waits_for(jobs: Browse | None) -> str:
    try:
        running = jobs.running() if jobs else []
    except VideodError:
        running = []
    texts = [f"{job['id']} ({job.get('stage') or 'starts'} {job.get('percent', 0)} %)" for job in running]
    return f"waiting for {len(texts)} jobs: {', '.join(texts)}" if texts else "waiting for the daemon to end"
