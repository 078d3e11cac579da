"""check: everything that must be right before start, each problem in one line."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from videod import boot
from videod.cancel import Cancel
from videod.cli.where import Place, place
from videod.config import ENVIRONMENTS, Settings, find_file
from videod.config.ini import salvage
from videod.config.recorders import Place as RecorderPlace
from videod.config.recorders import place_of
from videod.config.visitors import IN_THE_CLEAR, is_loopback
from videod.daemonize import owner_of
from videod.errors import ConfigError, ForbiddenSource, VideodError
from videod.jobqueue import Connection
from videod.limits import find
from videod.logs import visible
from videod.process import Guardian, Tools
from videod.redact import hide
from videod.transfer import fetch

VERSIONED = {"ffmpeg": "-version", "ffprobe": "-version", "wget": "--version", "redis-server": "--version"}


@dataclass(frozen=True)
class Finding:
    """One line of the report; `code` is 0 where all is well."""

    what: str
    text: str
    code: int = 0
    advice: bool = False


def check(arguments: argparse.Namespace) -> int:
    """Print findings; exit 0, else the code of the first problem (6, 5, 1)."""
    if faults := _faults(arguments):
        return _refuse(arguments, faults)
    here = place(arguments.config, arguments.env)
    findings = [Finding("configuration", f"{here.settings.file} [{here.settings.env}]")]
    for look in (_folders, _tools, _redis, _storage, _recorders, _disk):
        findings += look(here)
    problems = [finding for finding in findings if finding.code]
    if arguments.json:
        rows = [{"what": f.what, "text": f.text, "ok": not f.code, "advice": f.advice} for f in findings]
        print(json.dumps({"env": here.settings.env, "ok": not problems, "findings": rows}))
    else:
        for f in findings:
            print(f"{'problem' if f.code else 'advice ' if f.advice else 'ok     '}  {f.what}: {hide(f.text)}")
    return problems[0].code if problems else 0


def _faults(arguments: argparse.Namespace) -> tuple[str, ...]:
    """All that is wrong with the ini."""
    ini = salvage(find_file(arguments.config))
    if env := arguments.env or os.environ.get("VIDEOD_ENV"):
        return ini.salvaged(env).faults
    # of several environments one runs, and which one is told by an ini that is sound
    return tuple(dict.fromkeys(fault for env in ENVIRONMENTS for fault in ini.salvaged(env).faults))


def _refuse(arguments: argparse.Namespace, faults: tuple[str, ...]) -> int:
    """Each fault in a line, as an error of its own; nothing else can be looked at."""
    texts = [visible(hide(fault)) for fault in faults]
    for text in texts:
        print(f"videod: {text}", file=sys.stderr)
    if arguments.json:
        rows = [{"what": "configuration", "text": text, "ok": False, "advice": False} for text in texts]
        error = {"code": ConfigError.exit_code, "message": texts[0]}
        print(json.dumps({"env": arguments.env, "ok": False, "findings": rows, "error": error}))
    return ConfigError.exit_code


def _try(what: str, good: str, step: Callable[[], object]) -> Finding:
    try:
        step()
    except VideodError as error:
        return Finding(what, str(error), error.exit_code)
    return Finding(what, good)


def _folders(here: Place) -> Iterator[Finding]:
    settings = here.settings
    if settings.user:
        yield _try("user", settings.user, lambda: owner_of(settings))
    for name in ("pid_file", "debug_log"):
        if Path(getattr(settings, name)).is_dir():
            yield Finding(name, f"{getattr(settings, name)} is a folder: name a file", ConfigError.exit_code)
    if not is_loopback(settings.web.listen):
        yield Finding("[web] listen", f"{settings.web.listen}: {IN_THE_CLEAR}", advice=True)
    for name in ("allow_paths", "shared_paths"):
        for folder in getattr(settings, name):
            # that of the web side is made when it is first used
            if not Path(folder).is_dir() and folder != f"{settings.web.folder}/uploads":
                yield Finding(name, f"{folder} is not there", advice=True)
    wanted = {"pid_file": Path(settings.pid_file).parent, "debug_log": Path(settings.debug_log).parent}
    wanted |= {"state_dir": Path(settings.state_dir), "work_dir": Path(settings.work_dir)}
    if Path(settings.web.folder).parent != Path(settings.state_dir):  # the daemon reads uploads there
        wanted["[web] folder"] = Path(settings.web.folder)
    for name, folder in wanted.items():
        yield _try(name, str(folder), lambda name=name, folder=folder: _writable(name, folder))  # type: ignore[misc]


def _writable(name: str, folder: Path) -> None:
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"{name}: {folder}: cannot be written: make it, or choose another")


def _tools(here: Place) -> Iterator[Finding]:
    wanted = boot.TOOLS + (("redis-server",) if here.settings.redis == "embedded" else ())
    with tempfile.TemporaryDirectory() as folder:
        guardian = Guardian(f"check:{os.getpid()}")
        try:
            tools = Tools(guardian, Cancel(), Path(folder))
            for tool in wanted:
                yield _tool(tools, tool)
        finally:
            guardian.close()


def _tool(tools: Tools, tool: str) -> Finding:
    try:
        path = find(tool)
        if tool not in VERSIONED:
            return Finding(tool, path)
        first = tools.run([tool, VERSIONED[tool]], may_fail=True).stdout.decode("utf-8", "replace").split("\n")[0]
    except VideodError as error:
        return Finding(tool, str(error), error.exit_code)
    return Finding(tool, f"{path}, {re.sub(r' Copyright.*', '', first)}")


def _redis(here: Place) -> Iterator[Finding]:
    settings = here.settings
    if settings.redis == "embedded" and not here.running:
        yield Finding("redis", "embedded: starts with the daemon")
        return
    connection = Connection(settings)
    try:
        yield Finding("redis", f"{hide(settings.redis)}, version {connection.check()}")
        yield from _durability(connection)
    except VideodError as error:
        yield Finding("redis", str(error), error.exit_code)


def _durability(connection: Connection) -> Iterator[Finding]:
    try:
        values = {name: _config(connection, name) for name in ("appendonly", "appendfsync")}
    except VideodError:
        yield Finding(
            "redis", "CONFIG GET is not allowed: cannot tell whether it keeps what it acknowledged", advice=True
        )
        return
    if values["appendonly"] != "yes":
        text = "appendonly is no: messages are lost when Redis dies: set appendonly yes, appendfsync always"
        yield Finding("redis", text, advice=True)
    elif values["appendfsync"] != "always":
        text = "appendfsync is not always: about two seconds are at risk in a crash: set appendfsync always"
        yield Finding("redis", text, advice=True)


def _config(connection: Connection, name: str) -> str:
    answer = connection.call("CONFIG", "GET", name)
    values = list(answer.values()) if isinstance(answer, dict) else answer[1:]
    return "".join(value.decode() if isinstance(value, bytes) else str(value) for value in values)


def _storage(here: Place) -> Iterator[Finding]:
    yield _try("upload", hide(here.settings.upload), lambda: boot.check_upload(here.settings))
    for scheme in here.settings.storage:
        yield _try(f"storage {scheme}", "set up", lambda scheme=scheme: _library(scheme, here.settings))  # type: ignore[misc]


def _recorders(here: Place) -> Iterator[Finding]:
    settings = here.settings
    for name, section in settings.recorders.items():
        found = place_of(name, settings)
        what, shown = f"recorder {name}", f"{found.netloc} by {found.scheme}"
        if not section.user or not section.password:
            yield Finding(what, f"{shown}: no user or no password: nobody can log in", ConfigError.exit_code)
            continue
        yield _try(what, shown, lambda found=found: _reachable(found, settings))  # type: ignore[misc]
        if found.scheme == "http":
            yield Finding(what, f"{shown}: others may read what it sends: set tls", advice=True)


def _reachable(found: RecorderPlace, settings: Settings) -> None:
    try:
        fetch.check(f"{found.scheme}://{found.netloc}/", settings)
    except ForbiddenSource as error:
        raise ConfigError(str(error)) from None


def _library(scheme: str, settings: Settings) -> None:
    if scheme == "rclone":
        find("rclone")
        return
    try:
        import obstore  # noqa: F401 - optional and heavy
    except ImportError:
        raise ConfigError(
            f"[storage {scheme}]: {settings.file}: obstore is missing: pip install 'videod[s3]'"
        ) from None


def _disk(here: Place) -> Iterator[Finding]:
    settings = here.settings
    folder = Path(settings.work_dir)
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(nearest).free
    text = f"{free >> 20} MiB free in {nearest}, min_free is {settings.min_free >> 20} MiB"
    yield Finding("disk", text, 1 if free < settings.min_free else 0)
