"""Become a daemon, and tell the caller the truth about it: the only file that imports daemon.

DaemonContext lets its parent leave before anything is known. So we fork once ourselves, before it, and keep
a pipe: the daemon writes `READY`, or why it failed, and only then does `start` return.
"""

from __future__ import annotations

import grp
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import daemon
from lockfile import AlreadyLocked, LockFailed

from videod.config.settings import Settings
from videod.errors import AlreadyRunning, ConfigError, VideodError
from videod.pidfile import PidFile

# gets a function to call once it serves; returns the exit code
Serve = Callable[[Callable[[], None]], int]


class StartFailed(VideodError):
    """The daemon said why it could not start; its exit code goes on to the caller."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def start(settings: Settings, install_signals: Callable[[], None], serve: Serve) -> int:
    """Daemonize; returns the daemon's pid once it serves, raises StartFailed with its reason otherwise."""
    readable, writable = os.pipe()
    if os.fork() == 0:
        os.close(readable)
        install_signals()
        _daemon(settings, serve, writable)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    os.wait()
    word, _, text = said.partition(" ")
    if word == "READY":
        return int(text)
    if not word:
        raise StartFailed(f"the daemon died while it started: {settings.debug_log}: see its last lines", 1)
    raise StartFailed(text, int(word))


def _daemon(settings: Settings, serve: Serve, writable: int) -> NoReturn:
    code = 1

    def ready() -> None:
        os.write(writable, f"READY {os.getpid()}".encode())
        os.close(writable)

    try:
        code = inside(settings, serve, ready, detach=True, keep=(writable,))
    except VideodError as error:
        _tell(writable, f"{error.exit_code} {error}")
    except BaseException as error:  # whatever it was, the caller waits for an answer
        _tell(writable, f"1 {type(error).__name__}: {error}")
    finally:
        # never return into the caller's stack, never run its exit handlers
        os._exit(code)


def _tell(writable: int, text: str) -> None:
    try:
        os.write(writable, " ".join(text.split()).encode()[:4000])
    except OSError:  # the caller is gone, or READY was said already
        return


def inside(
    settings: Settings, serve: Serve, ready: Callable[[], None], *, detach: bool, keep: tuple[int, ...] = ()
) -> int:
    """Run `serve` in a daemon context with the lock held; without `detach` in the foreground.

    The caller's signal handlers must be installed by now: a signal before them would kill a half-made daemon.
    """
    owner = owner_of(settings)
    make_folders(settings, owner)
    context = daemon.DaemonContext(
        # auto-detection is wrong under systemd and with a socket or nothing on stdin
        detach_process=detach,
        pidfile=PidFile(settings.pid_file),
        umask=0o022,
        working_directory="/",
        prevent_core=False,  # its limit would reach the tools; they get their own
        signal_map={},  # ours are installed: the default one raises SystemExit anywhere
        files_preserve=list(keep),
        stdout=None if detach else sys.stdout,
        stderr=None if detach else sys.stderr,
        uid=owner[0] if owner else None,
        gid=owner[1] if owner else None,
        initgroups=owner is not None,
    )
    if owner:
        # with initgroups DaemonContext sets the supplementary groups only: the group would stay root's
        os.setgid(owner[1])
    try:
        context.open()
    except AlreadyLocked:
        pid = PidFile(settings.pid_file).look().pid
        raise AlreadyRunning(f"already running with pid {pid}: {settings.pid_file}: stop it first") from None
    except (LockFailed, daemon.daemon.DaemonError) as error:
        raise ConfigError(f"cannot start: {error}: check pid_file, user and group") from None
    with context:
        return serve(ready)


def owner_of(settings: Settings) -> tuple[int, int] | None:
    """User and group to become, as numbers; None where nothing changes. ConfigError for who is not known."""
    if not settings.user:
        return None
    try:
        user = pwd.getpwnam(settings.user)
        group = grp.getgrnam(settings.group).gr_gid if settings.group else user.pw_gid
    except KeyError as error:
        raise ConfigError(f"user, group: {settings.file}: {str(error).strip(chr(34))}") from None
    if os.geteuid() != 0:
        if os.geteuid() == user.pw_uid:
            return None
        raise ConfigError(f"user: {settings.file}: only root can become {settings.user}")
    return user.pw_uid, group


def make_folders(settings: Settings, owner: tuple[int, int] | None) -> None:
    """Make the folders of pidfile, log, state and work where missing, as the owner's."""
    wanted = [Path(settings.pid_file).parent, Path(settings.debug_log).parent]
    for folder in (*wanted, Path(settings.state_dir), Path(settings.work_dir)):
        try:
            missing = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            if missing and owner:
                os.chown(folder, *owner)
        except OSError as error:
            raise ConfigError(f"cannot make a folder: {folder}: {error.strerror}") from None
