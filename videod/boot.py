"""What must be true before we say READY, and the rooms that are built on the way, each with its owner."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import time
from dataclasses import dataclass

from videod import embedded
from videod.attempt import folder_of
from videod.config.settings import Settings
from videod.errors import AlreadyRunning, ConfigError, Permanent, RedisAway
from videod.jobqueue import Connection, Health, JobQueue
from videod.jobqueue.nodes import Node
from videod.jobqueue.outbox import Outbox
from videod.jobqueue.recovery import Recovery
from videod.jobqueue.steer import Steer
from videod.jobqueue.takeover import TakeOver
from videod.limits import find
from videod.process import Guardian, Server
from videod.transfer import upload

TOOLS = ("wget", "ffmpeg", "ffprobe", "setpriv", "prlimit", "nice")
LOADING_SECONDS = 60.0
REVIVE_SECONDS = 5.0


@dataclass
class Rooms:
    """What the service works with; `close` ends it in the right order."""

    settings: Settings
    lock: int
    guardian: Guardian
    server: Server | None
    health: Health
    shared: Connection
    queue: JobQueue
    recovery: Recovery
    node: Node
    takeover: TakeOver
    steer: Steer
    outbox: Outbox
    revived: float = float("-inf")

    def revive(self, log: logging.Logger) -> None:
        """Start our own redis-server again if it has ended: nobody else could."""
        now = time.monotonic()
        if self.server and self.server.exited() and now >= self.revived + REVIVE_SECONDS:
            self.revived = now
            try:
                old, self.server = self.server, embedded.start(self.settings, self.guardian)
            except (OSError, ConfigError) as error:
                log.error("the embedded redis-server has ended and cannot be started: %s", error)
                return
            old.stop()
            log.warning("the embedded redis-server had ended and was started again: see %s/redis.log", old.folder)

    def close(self) -> None:
        """Leave Redis, then end our own redis-server, then the guardian, which looks a last time."""
        with contextlib.suppress(RedisAway):
            self.node.leave()
        self.shared.close()
        if self.server:
            self.server.stop()
        self.guardian.close()
        os.close(self.lock)


def check_tools(settings: Settings) -> None:
    """ToolMissing for the first tool that is not installed."""
    for tool in (*TOOLS, *(("redis-server",) if settings.redis == "embedded" else ())):
        find(tool)


def check_work_dir(settings: Settings) -> None:
    """ConfigError when the scratch folder cannot be written."""
    folder = folder_of(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"cannot write work_dir: {folder}: {error.strerror}") from None


def check_upload(settings: Settings) -> None:
    """ConfigError when the default place of results can be used by no job; looks up no host."""
    try:
        place = upload.target(settings.upload, id="id", n=1, name="name", ext="mp4")
        if place.scheme not in ("http", "https"):
            upload.check(place, settings)
    except Permanent as error:
        raise ConfigError(f"[{settings.env}] upload: {settings.file}: {error}") from None


def lock_node(settings: Settings) -> int:
    """A lock that lasts as long as we live; AlreadyRunning when another daemon has this node and state_dir.

    Two daemons may have different pidfiles. Without this the second would sweep away the children of the
    first before Redis told it that the name is taken.
    """
    path = os.path.join(settings.state_dir, f"{settings.node}.lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AlreadyRunning(f"node {settings.node} is served by another daemon: {path}: stop it first") from None
    return lock


def build(settings: Settings, log: logging.Logger, *, orderly: bool) -> Rooms:
    """Check and build everything; on an error what was started is ended again.

    `orderly`: the daemon before us ended by itself. What it left, with Redis away, is no crash's fault.
    """
    check_tools(settings)
    check_work_dir(settings)
    check_upload(settings)
    lock = lock_node(settings)
    guardian = Guardian(f"{settings.node}:{os.path.realpath(settings.state_dir)}")
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, lock)
        undo.callback(guardian.close)
        if killed := guardian.sweep():
            log.warning("ended %d processes that an earlier daemon left behind", killed)
        server = embedded.start(settings, guardian) if settings.redis == "embedded" else None
        if server:
            undo.callback(server.stop)
        rooms = _connect(settings, log, guardian, server, lock, orderly)
        undo.pop_all()
    return rooms


def _connect(
    settings: Settings, log: logging.Logger, guardian: Guardian, server: Server | None, lock: int, orderly: bool
) -> Rooms:
    health = Health(log)
    shared = Connection(settings, health)
    _wait_for(shared, server)
    node = Node(settings, shared)
    node.register()
    recovery = Recovery(settings, shared, log)
    if found := recovery.at_start("drain" if orderly else "crash"):
        log.warning("took up %d messages that an earlier daemon had left", found)
    for scratch in folder_of(settings).iterdir():
        shutil.rmtree(scratch, ignore_errors=True)
    steer = Steer(settings, shared)
    steer.well_again(settings.node)
    queue, outbox = JobQueue(settings, shared), Outbox(settings, shared)
    takeover = TakeOver(settings, node, recovery, log)
    return Rooms(settings, lock, guardian, server, health, shared, queue, recovery, node, takeover, steer, outbox)


def _wait_for(connection: Connection, server: Server | None) -> None:
    """An embedded server needs a moment to listen, and longer to load its data."""
    deadline = time.monotonic() + (LOADING_SECONDS if server else 0)
    while True:
        try:
            connection.check()
            return
        except RedisAway:
            if server and server.exited():
                raise RedisAway(
                    f"the embedded redis-server ended at once: {server.folder}/redis.log: see why"
                ) from None
            if server is None or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
