"""Talk to Redis: the only file that imports redis.

Every error of the client becomes `RedisAway`: one kind of trouble, said once in the log. The client's own
retries are switched off: a hidden second LMOVE after a lost answer would take two messages for one slot.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from videod.config.ini import embedded_socket
from videod.config.settings import Settings
from videod.errors import RedisAway, RedisRefused
from videod.redact import hide

ANSWER_SECONDS = 10.0
BLOCK_SECONDS = 1.0
CONNECT_SECONDS = 5.0
OLDEST = (6, 2)
MOST_REFUSALS = 100


class Health:
    """Says once that Redis is away and once that it is back. Owns that knowledge; shared by all threads."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._since: float | None = None
        self._refusals: set[str] = set()
        self.losses = 0

    def away(self, error: RedisAway) -> None:
        """A call failed."""
        with self._lock:
            self.losses += 1
            if self._since is None:
                self._since = time.monotonic()
                self._log.error("Redis is away: %s", error)

    def refused(self, text: str) -> None:
        """Redis answered that it will not: said once for each text, since the loop asks again and again."""
        with self._lock:
            if text not in self._refusals and len(self._refusals) < MOST_REFUSALS:
                self._refusals.add(text)
                self._log.error("Redis refuses: %s: mend the key or the rights", text)

    def back(self) -> None:
        """A call succeeded."""
        if self._since is None:
            return
        with self._lock:
            if self._since is not None:
                self._log.warning("Redis is back after %.1f s", time.monotonic() - self._since)
                self._since = None

    @property
    def is_away(self) -> bool:
        """Whether the last call failed."""
        return self._since is not None


class Script:
    """A Lua script beside this package; `_say.lua` is put in front of each."""

    def __init__(self, name: str) -> None:
        folder = files("videod.jobqueue") / "scripts"
        self.name = name
        self.text = (folder / "_say.lua").read_text() + (folder / f"{name}.lua").read_text()
        self.sha = ""


class Connection:
    """One Redis, for any number of threads: each has a socket of its own, kept as long as the thread.

    Commands go over the library's plain connections. Its client would add half of their cost again, and hidden
    retries. A thread may therefore block in Redis (up to BLOCK_SECONDS) without standing in another's way.
    """

    def __init__(self, settings: Settings, health: Health | None = None) -> None:
        url = address(settings)
        self._shown = hide(url)
        self._health = health
        self._pool = redis.ConnectionPool.from_url(
            url,
            # a blocking read must not end before Redis answers it, or the answer's message is lost on the way
            socket_timeout=ANSWER_SECONDS + BLOCK_SECONDS,
            socket_connect_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            client_name="videod",
            protocol=2,
        )
        self._own = threading.local()
        self._open: list[Any] = []

    def call(self, *command: Any) -> Any:
        """One command; RedisAway where Redis does not answer or refuses."""
        return self._guarded(lambda: self._execute(*command))

    def many(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Several commands in one round trip; not one transaction."""

        def work() -> list[Any]:
            socket = self._socket()
            socket.send_packed_command(socket.pack_commands(commands))
            answers = [_answer(socket) for _ in commands]  # all, before one is raised: the socket is used again
            for answer in answers:
                if isinstance(answer, redis.exceptions.ResponseError):
                    raise answer
            return answers

        found: list[Any] = self._guarded(work)
        return found

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """One script, atomically; one round trip unless Redis has forgotten it."""
        return self._guarded(lambda: self._evaluate(script, keys, arguments))

    def _execute(self, *command: Any) -> Any:
        socket = self._socket()
        socket.send_packed_command(socket.pack_command(*command))
        return socket.read_response()

    def _evaluate(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        try:
            if script.sha:
                return self._execute("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            pass
        script.sha = self._execute("SCRIPT", "LOAD", script.text)
        return self._execute("EVALSHA", script.sha, len(keys), *keys, *arguments)

    def _socket(self) -> Any:
        """This thread's, closed first if others noticed a loss meanwhile: it would look like another loss."""
        losses = self._health.losses if self._health else 0
        try:
            socket, seen = self._own.socket, self._own.seen
        except AttributeError:
            socket, seen = self._pool.make_connection(), losses  # type: ignore[no-untyped-call, unused-ignore]
            self._open.append(socket)
            self._own.socket, self._own.seen = socket, seen
        if seen != losses:
            self._own.seen = losses
            socket.disconnect()
        return socket

    def _guarded(self, work: Callable[[], Any]) -> Any:
        try:
            answer = work()
        except redis.exceptions.RedisError as error:
            text = f"{self._shown}: {hide(' '.join(str(error).split()))[:300]}"
            if _refused(error):
                if self._health:
                    self._health.refused(text)
                raise RedisRefused(text) from None
            away = RedisAway(text)
            if self._health:
                self._health.away(away)
            raise away from None
        if self._health:
            self._health.back()
        return answer

    def check(self) -> str:
        """Redis' version; RedisAway where it does not answer or is older than 6.2."""
        try:
            self._execute("PING")  # refused while Redis loads its data; INFO is not
            info = self._execute("INFO", "server").decode()
        except redis.exceptions.RedisError as error:
            why = hide(" ".join(str(error).split()))[:200]
            raise RedisAway(f"Redis does not answer: {self._shown}: {why}: start it or mend 'redis'") from None
        lines = (line.split(":", 1) for line in info.splitlines() if ":" in line)
        version: str = dict(lines).get("redis_version", "0")
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
            raise RedisAway(f"Redis is {version}: {self._shown}: videod needs 6.2 or newer")
        return version

    def close(self) -> None:
        """Close all sockets."""
        for socket in self._open:
            socket.disconnect()


def address(settings: Settings) -> str:
    """The URL for the client."""
    if settings.redis == "embedded":
        return "unix://" + embedded_socket(settings)
    parts = urlsplit(settings.redis)
    return settings.redis if parts.query or parts.path.strip("/") else settings.redis.rstrip("/") + "/0"


def _answer(socket: Any) -> Any:
    try:
        return socket.read_response()
    except redis.exceptions.ResponseError as error:
        return error


def _refused(error: redis.exceptions.RedisError) -> bool:
    """Whether trying again is in vain: an error that Redis answered and that does not pass by itself."""
    if not isinstance(error, redis.exceptions.ResponseError):
        return False
    text = str(error)
    return any(word in text for word in ("WRONGTYPE", "NOPERM", "CROSSSLOT", "permission", "same slot"))
