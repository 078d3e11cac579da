"""Digest authentication (RFC 7616, and 2617 for old recorders): challenges read, answers made.

What the recorder sends is untrusted: an attribute that could break out of our header is refused, and of several
challenges the strongest is answered. Basic is answered over TLS alone: in clear it gives the password away.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from videod.transfer.urls import basic

LONGEST = 4096
_HASHES = {"SHA-256": "sha256", "MD5": "md5"}
_START = re.compile(r"(?:^|,)\s*(Digest|Basic)\s+", re.IGNORECASE)
_PAIR = re.compile(r'([a-zA-Z][a-zA-Z0-9_-]{0,31})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_UNFIT = re.compile(r"[\x00-\x1f\x7f]")


class Unanswerable(ValueError):
    """The recorder asks for a login in a way that we do not know, or would give the password away."""


@dataclass(frozen=True)
class Challenge:
    """One challenge; `algorithm` is SHA-256 or MD5, `session` its -sess form. `qop` false: that of RFC 2069."""

    realm: str
    nonce: str
    opaque: str
    algorithm: str
    session: bool
    qop: bool
    stale: bool


def challenge_of(headers: Sequence[str], secure: bool) -> Challenge | None:
    """The strongest of the challenges in these WWW-Authenticate headers; None: basic. Raises Unanswerable."""
    found: list[Challenge] = []
    others = False
    for scheme, fields in _challenges(headers):
        if scheme == "basic":
            others = True
        elif (made := _digest(fields)) is not None:
            found.append(made)
    if found:
        return min(found, key=lambda one: list(_HASHES).index(one.algorithm))
    if others and secure:
        return None
    raise Unanswerable("it asks for a password in clear" if others else "it asks for a login in a way we do not know")


def _challenges(headers: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    made = []
    for header in headers[:8]:
        text = header[:LONGEST]
        starts = list(_START.finditer(text))
        ends = [start.start() for start in starts[1:]] + [len(text)]
        for start, end in zip(starts, ends, strict=False):
            pairs = _PAIR.finditer(text[start.end() : end])
            fields = {pair[1].lower(): pair[3] if pair[2] is None else _unquoted(pair[2]) for pair in pairs}
            made.append((start[1].lower(), fields))
    return made


def _digest(fields: dict[str, str]) -> Challenge | None:
    name = fields.get("algorithm", "MD5").upper()
    algorithm, session = name.removesuffix("-SESS"), name.endswith("-SESS")
    offered = [part.strip().lower() for part in fields.get("qop", "").split(",") if part.strip()]
    wanted = (fields.get("realm", ""), fields.get("nonce", ""), fields.get("opaque", ""))
    unfit = any(_UNFIT.search(text) for text in wanted) or not wanted[1]
    if algorithm not in _HASHES or unfit or (offered and "auth" not in offered) or (session and not offered):
        return None
    return Challenge(*wanted, algorithm, session, bool(offered), fields.get("stale", "").lower() == "true")


class Login:
    """One user at one recorder: answers its challenges and counts the uses of each nonce."""

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password
        self._challenge: Challenge | None = None
        self._count, self._cnonce = 0, ""
        self.ready = False

    def learn(self, challenge: Challenge | None) -> None:
        """Answer this challenge from now on; None: basic."""
        self._challenge, self._count, self._cnonce = challenge, 0, secrets.token_hex(16)
        self.ready = True

    def forget(self) -> None:
        """Wait for a new challenge."""
        self.ready = False

    def header(self, method: str, target: str) -> str:
        """The Authorization header of one request; `target` as it stands in its first line."""
        if self._challenge is None:
            return basic(self._user, self._password)
        self._count += 1
        made = _answer(self._challenge, self._user, self._password, method, target, self._count, self._cnonce)
        # http.client takes Latin-1; what goes out is UTF-8
        return made.encode().decode("latin-1")


def _answer(asked: Challenge, user: str, password: str, method: str, target: str, count: int, cnonce: str) -> str:
    def digest(text: str) -> str:
        return hashlib.new(_HASHES[asked.algorithm], text.encode(), usedforsecurity=False).hexdigest()

    first = digest(f"{user}:{asked.realm}:{password}")
    first = digest(f"{first}:{asked.nonce}:{cnonce}") if asked.session else first
    second, used = digest(f"{method}:{target}"), f"{count:08x}"
    middle = f"{used}:{cnonce}:auth:" if asked.qop else ""
    named = {"username": user, "realm": asked.realm, "nonce": asked.nonce, "uri": target}
    named |= {"response": digest(f"{first}:{asked.nonce}:{middle}{second}")}
    named |= {"opaque": asked.opaque} if asked.opaque else {}
    named |= {"cnonce": cnonce} if asked.qop else {}
    bare = {"algorithm": asked.algorithm + ("-sess" if asked.session else "")}
    bare |= {"qop": "auth", "nc": used} if asked.qop else {}
    quoted = [f'{name}="{_quoted(value)}"' for name, value in named.items()]
    return "Digest " + ", ".join([*quoted, *(f"{name}={value}" for name, value in bare.items())])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
