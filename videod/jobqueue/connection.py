"""Talk to Redis: the only file that imports redis.

Every error of the client becomes `RedisAway`: one kind of trouble, said once in the log. The client's own
retries are switched off: a hidden second LMOVE after a lost answer would take two messages for one slot.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from videod.config.ini import embedded_socket
from videod.config.redis_url import RedisUrl, parse
from videod.config.settings import Settings
from videod.errors import ConfigError, RedisAway, RedisRefused, RedisUnfit
from videod.jobqueue import refusals, rights
from videod.jobqueue.health import Health
from videod.jobqueue.names import Names
from videod.jobqueue.replicas import Replicas, facts
from videod.jobqueue.script import PROOFS, Script, wrote
from videod.redact import hide

__all__ = ["BLOCK_SECONDS", "Connection", "Health", "Script"]

ANSWER_SECONDS = 10.0
BLOCK_SECONDS = 1.0
# short, since a SYN that was lost in a partition is sent again after 1, 2, 4 s: a new attempt is quicker
CONNECT_SECONDS = 3.0
SENTINEL_SECONDS = 1.0


class Connection:
    """One Redis, for any number of threads: each has a socket of its own, kept as long as the thread.

    Commands go over the library's plain connections. Its client would add half of their cost again, and hidden
    retries. A thread may therefore block in Redis (up to BLOCK_SECONDS) without standing in another's way.
    """

    def __init__(self, settings: Settings, health: Health | None = None) -> None:
        self._settings = settings
        self._shown = hide(address(settings))
        self._health = health
        self._pool = _pool(_parsed(settings))
        self._replicas = Replicas(health)
        self._own = threading.local()
        self._open: list[tuple[threading.Thread, Any]] = []
        self._lock = threading.Lock()

    def call(self, *command: Any) -> Any:
        """One command; RedisAway where Redis does not answer or refuses."""
        return self._guarded(lambda: self._execute(*command), lambda _: command[0] in PROOFS)

    def many(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Several commands in one round trip; not one transaction."""
        found: list[Any] = self._guarded(lambda: self._all(commands), lambda _: False)
        return found

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any], *, durable: bool = False) -> Any:
        """One script, atomically; one round trip unless Redis has forgotten it.

        `durable`: where Redis has replicas, returns when one of them has what the script wrote, so that no
        failover undoes it. When the connection breaks before that is known, RedisAway: run it again. A script
        that changes nothing the second time must still write something, or there is nothing to wait for.
        """

        def proves(answer: Any) -> bool:
            return script.name in PROOFS and wrote(answer)

        return self._guarded(lambda: self._evaluate(script, keys, arguments, durable), proves, keys)

    def _execute(self, *command: Any) -> Any:
        socket = self._socket()
        socket.send_packed_command(socket.pack_command(*command))
        return socket.read_response()

    def _all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        socket = self._socket()
        socket.send_packed_command(socket.pack_commands(commands))
        answers = [_answer(socket) for _ in commands]  # all, before one is raised: the socket is used again
        for answer in answers:
            if isinstance(answer, redis.exceptions.ResponseError):
                raise answer
        return answers

    def _evaluate(self, script: Script, keys: Sequence[str], arguments: Sequence[Any], durable: bool) -> Any:
        if durable and self._replicas.look_due():
            self._look()
        run = self._copied if durable and self._replicas.patience else self._execute
        try:
            answer = run("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            # not SCRIPT LOAD and once more: it may be forgotten again in between
            answer = run("EVAL", script.text, len(keys), *keys, *arguments)
        return self._sure(answer, durable)

    def _copied(self, *command: Any) -> Any:
        answer, copies = self._all([command, ("WAIT", 1, self._replicas.patience)])
        self._replicas.acknowledged(copies)
        return answer

    def _sure(self, answer: Any, durable: bool) -> Any:
        # a replica refuses a write but not a script that found nothing to do: its data may be old, or gone
        if durable and not wrote(answer):
            self._look()
        return answer

    def _look(self) -> None:
        info = facts(self._execute("INFO", "replication"))
        if info.get("role") == "slave":
            raise redis.exceptions.ReadOnlyError("it is a replica now")
        self._replicas.learned(info)

    def _socket(self) -> Any:
        """This thread's, closed first if others noticed a loss meanwhile: it would look like another loss."""
        losses = self._health.losses if self._health else 0
        own = self._own
        if not hasattr(own, "socket"):
            own.socket, own.connected, own.seen = self._pool.make_connection(), False, losses
            self._keep(own.socket)
        if own.seen != losses:
            own.seen = losses
            self._drop()
        if not own.connected:
            # not left to the first command: that would pass by the Sentinels, to localhost
            own.socket.connect()
            own.connected = True
        return own.socket

    def _keep(self, socket: Any) -> None:
        """Until its thread ends. Threads of the web side come and go: what they leave is closed when others come."""
        with self._lock:
            ended = [pair for pair in self._open if not pair[0].is_alive()]
            self._open = [pair for pair in self._open if pair not in ended]
            self._open.append((threading.current_thread(), socket))
        for _, one in ended:
            one.disconnect()

    def _drop(self) -> None:
        if hasattr(self._own, "socket"):
            self._own.socket.disconnect()
            self._own.connected = False

    def _guarded(self, work: Callable[[], Any], proves: Callable[[Any], bool], keys: Sequence[str] = ()) -> Any:
        try:
            answer = work()
        except redis.exceptions.RedisError as error:
            text = refusals.text_of(error)
            answered = isinstance(error, redis.exceptions.ResponseError)
            if answered and (why := refusals.explain(error, text, keys)):
                refused = f"{self._shown}: {why}"
                if self._health:
                    self._health.refused(refused)
                raise RedisRefused(refused) from None
            told = f"{self._shown}: {text}"
            # of one loss each thread may learn when the others are back already: it is the same loss
            known = self._health and getattr(self._own, "seen", None) not in (None, self._health.losses)
            self._lost()
            if self._health and not known:
                self._health.away(RedisAway(told), answered=answered)
            raise RedisAway(told) from None  # with a name here it would hold this frame, and the frame it
        # an answer from before the loss that another thread met says nothing
        if self._health and self._health.is_away and self._own.seen == self._health.losses:
            self._health.back(wrote=proves(answer))
        return answer

    def _lost(self) -> None:
        """Begin anew from the address: the master may be another by now, and this socket out of step."""
        self._replicas.forget()
        self._drop()

    def check(self) -> str:
        """Redis' version; RedisAway where it does not answer, RedisUnfit where it would lose messages."""
        try:
            self._execute("PING")  # refused while Redis loads its data; INFO is not
            info = facts(self._execute("INFO"))
        except redis.exceptions.RedisError as error:
            self._lost()
            raise RedisAway(refusals.at_start(error, self._shown)) from None
        names = Names.of(self._settings)
        refusals.judge(info, self._shown, names)
        if missing := self.run(Script("rights"), rights.keys(names), rights.needed()):
            lacks = " ".join(f"+{name.decode().lower()}" for name in missing)
            raise RedisUnfit(f"Redis' user lacks rights: {self._shown}: {lacks}: give them, see docs/operations.md")
        valkey = info.get("valkey_version")
        return f"Valkey {valkey}" if valkey else info.get("redis_version", "0")

    def close(self) -> None:
        """Close all sockets."""
        for _, socket in tuple(self._open):
            socket.disconnect()


def address(settings: Settings) -> str:
    """Where Redis is, as an address."""
    return "unix://" + embedded_socket(settings) if settings.redis == "embedded" else settings.redis


def _parsed(settings: Settings) -> RedisUrl:
    found = parse(address(settings))
    for file in found.files:
        try:
            open(file, "rb").close()
        except IsADirectoryError:
            continue
        except OSError as error:
            raise ConfigError(f"[{settings.env}] redis: {file}: {error.strerror}: mend the address") from None
    return found


def _pool(address: RedisUrl) -> Any:
    """What makes the connections; with Sentinels each of these asks them for the master when it connects."""
    ours = {
        # a blocking read must not end before Redis answers it, or the answer's message is lost on the way
        "socket_timeout": ANSWER_SECONDS + BLOCK_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),  # type: ignore[no-untyped-call, unused-ignore]
        "health_check_interval": 0,
        "client_name": "videod",
        "protocol": 2,
        # redis 8.1 would make 100 in the life of a pool: each of our threads has one, and threads come and go
        "max_connections": 1 << 31,
    }
    if not address.sentinels:
        return redis.ConnectionPool.from_url(address.url, **ours)
    known = redis.ConnectionPool.from_url(address.url).connection_kwargs
    options = {k: v for k, v in known.items() if k in ("username", "password", "db") or k.startswith("ssl_")}
    tls = {"ssl": address.tls, **{k: v for k, v in options.items() if k.startswith("ssl_")}}
    asking: dict[str, Any] = {
        "socket_timeout": SENTINEL_SECONDS,
        "socket_connect_timeout": SENTINEL_SECONDS,
        "protocol": 2,
    }
    asking |= {"username": address.sentinel_username, "password": address.sentinel_password}
    manager = Sentinel(  # type: ignore[no-untyped-call, unused-ignore]
        address.sentinels, sentinel_kwargs={**asking, **tls, "retry": Retry(NoBackoff(), 0)}
    )
    return SentinelConnectionPool(  # type: ignore[no-untyped-call, unused-ignore]
        address.service, manager, **ours, **options, ssl=address.tls
    )


def _answer(socket: Any) -> Any:
    try:
        return socket.read_response()
    except redis.exceptions.ResponseError as error:
        return error
