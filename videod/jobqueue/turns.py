"""Turns at recorders, counted over all nodes, and the passwords that recorders refused.

A recorder serves few at once, and five wrong tries lock an account. So a job takes a turn before it says `started`; one
that finds none is put aside, and who leaves wakes who waits longest. A turn that nobody keeps ends with its lease. Of a
refused password a salted digest is kept, which costs who reads it 50 ms a guess.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from videod.config.settings import Settings
from videod.errors import FetchFailed, KeyMissing, RedisAway
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.names import Names
from videod.message import Envelope
from videod.vault import Vault

# for how long a turn is kept for a job that was woken, and how many may have been cancelled meanwhile
KEPT_MS = 10_000
MOST_WOKEN = 1000
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "maxmem": 64 << 20}

Insist = Callable[[Callable[[], Any]], Any]


class Turns:
    """The turns of this node. Thread-safe. Owns the set of those that are to be kept."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self.names, self.connection = Names.of(settings), connection
        self.most, self.lease = settings.recorder_jobs, settings.lease
        self.import_key = settings.import_key
        self.node, self.run = settings.node, secrets.token_hex(8)
        self._lock = threading.Lock()
        self._held: set[Turn] = set()
        self._take, self._leave, self._hurry = Script("turn"), Script("leave"), Script("hurry")

    def of(self, place: str, ident: str, insist: Insist) -> Turn:
        """That of one job at one recorder, not taken yet."""
        return Turn(self, place, ident, insist)

    def take(self, turn: Turn) -> bool:
        """Take or keep it; False when others have all there are. RedisAway."""
        own = f"{self.node} "
        arguments = [turn.member, turn.ident, own, f"{own}{self.run} ", self.most, round(self.lease * 1000)]
        ours = bool(self.connection.run(self._take, self.keys(turn.place), arguments) == b"ours")
        with self._lock:
            self._held.add(turn) if ours else self._held.discard(turn)
        turn.kept = time.monotonic()
        return ours

    def leave(self, turn: Turn) -> None:
        """Give it back, and wake who is next. RedisAway: then it ends with its lease."""
        with self._lock:
            self._held.discard(turn)
        member = turn.member
        for _ in range(MOST_WOKEN):
            found = self.connection.run(self._leave, self.keys(turn.place), (member, self.most, KEPT_MS)).decode()
            if not found or self._wake(found):
                return
            member = f"> {found}"  # it waits no more

    def keep(self) -> None:
        """Keep all turns that jobs of this node have. RedisAway."""
        with self._lock:
            due = [turn for turn in self._held if time.monotonic() > turn.kept + self.lease / 3]
        for turn in due:
            if not self.take(turn):
                turn.lost = True

    def keys(self, place: str) -> tuple[str, str]:
        """Who has a turn, who waits for one."""
        return self.names.turns(place), self.names.line(place)

    def _wake(self, ident: str) -> bool:
        names, call = self.names, self.connection.call
        fields = ("message", "token", "attempt", "crashes", "origin", "state")
        raw, token, attempt, crashes, origin, state = call("HMGET", names.job(ident), *fields)
        if state != b"requeued" or None in (raw, token, attempt, crashes, origin):
            return False
        waits = Envelope(ident, token.decode(), int(attempt), int(crashes), origin.decode(), raw).dumps()
        return bool(self.connection.run(self._hurry, (names.delayed, names.abnormal_queue), (waits,)))


class Turn:
    """One job's turn. `take` belongs to the worker, the others to the kind, too; all but `leave` wait for Redis."""

    def __init__(self, turns: Turns, place: str, ident: str, insist: Insist) -> None:
        self._turns, self._insist = turns, insist
        self.place, self.ident = place, ident
        self.member = f"{turns.node} {turns.run} {ident} {secrets.token_hex(4)}"
        self.kept, self.lost, self._over = time.monotonic(), False, True
        self._imported: tuple[str, str] | None = None

    def take(self) -> bool:
        """Whether it is ours now."""
        self._over = not self._insist(lambda: self._turns.take(self))
        return not self._over

    def leave(self) -> None:
        """Let others talk to the recorder; may be said twice."""
        if not self._over:
            self._over = True
            with suppress(RedisAway):
                self._turns.leave(self)

    def check(self) -> None:
        """Raise FetchFailed when somebody else has it by now: Redis was away for longer than a lease."""
        if self.lost:
            raise FetchFailed(f"lost its turn at the recorder: {self.place}: Redis was away")

    def login(self) -> tuple[str, str] | None:
        """User and password that were imported for it. Raises KeyMissing where this node cannot open them."""
        turns = self._turns
        sealed = self._insist(lambda: turns.connection.call("HGET", turns.names.logins, self.place))
        if sealed is None:
            return None
        opened = Vault(turns.import_key).open(sealed.decode()) if turns.import_key else None
        if opened is None:
            what = "was sealed with another key" if turns.import_key else "needs the key that sealed it"
            todo = f"set it on node {turns.node}, too, and videod restart"
            raise KeyMissing(f"the login of {self.place} {what}: [keys] import of secrets_file: {todo}")
        self._imported = opened
        return opened

    def refused(self, user: str, password: str) -> bool:
        """Whether the recorder refused this login before; then a row of a sheet ends by it."""
        found = self._insist(lambda: self._turns.connection.call("HGET", self._key, user))
        salt, _, digest = (found or b"").decode().partition(":")
        known = bool(digest) and hmac.compare_digest(digest, _digest(salt, password))
        if known:
            self._ends_by(user, password)
        return known

    def refuse(self, user: str, password: str) -> None:
        """Remember that it did, for all nodes."""
        salt = secrets.token_hex(16)
        value = f"{salt}:{_digest(salt, password)}"
        self._insist(lambda: self._turns.connection.call("HSET", self._key, user, value))
        self._ends_by(user, password)

    def _ends_by(self, user: str, password: str) -> None:
        turns = self._turns
        if self._imported == (user, password):
            # another sheet may have brought this login: the row's own is still to be tried
            row = turns.names.imported(self.ident)
            digest = Vault(turns.import_key).digest(user, password)
            if self._insist(lambda: turns.connection.call("GET", row)):
                self._insist(lambda: turns.connection.call("SET", row, digest, "XX", "KEEPTTL"))

    @property
    def _key(self) -> str:
        return self._turns.names.refused(self.place)


def _digest(salt: str, password: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), **_SCRYPT).hex()
