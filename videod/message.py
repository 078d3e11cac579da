"""Bytes of a list element → one message: plain JSON values, or BadMessage. Nothing here trusts its input.

Four forms (docs/protocol.md): an object, a bare address, a batch, and videod's own envelope, which carries
a message that was taken before together with its id, counts and origin.
"""

from __future__ import annotations

import base64
import json
import math
import re
import secrets
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from videod.errors import BadMessage
from videod.fields import ID

MAX_BYTES = 1 << 20
# a message that is larger ends dead; up to this size it is read, since somebody may wait for its end
READ_BYTES = 4 * MAX_BYTES
# of an envelope: each byte of a message may need six in JSON
MAX_ENVELOPE = 6 * MAX_BYTES + (1 << 12)
# of a message that is not even read, as much of its beginning is shown and put aside
KEPT_BYTES = 4096
MAX_DEPTH = 32
ENVELOPE = b'{"videod":'
_ADDRESS = re.compile(r"(?:/|https?://|file:|s3:|gs:|az:)", re.IGNORECASE)
# never gives back what it took, and takes a string that has no end, too: linear whatever the text
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_SPACE = b" \t\r\n"


@dataclass(frozen=True)
class Envelope:
    """A message that videod took before. `raw` is what the producer pushed, `token` proves that it is ours."""

    id: str
    token: str
    attempt: int
    crashes: int
    origin: str
    raw: bytes

    def dumps(self) -> bytes:
        """The list element."""
        head = {"videod": 1, "id": self.id, "token": self.token, "attempt": self.attempt, "crashes": self.crashes}
        made = json.dumps({**head, "origin": self.origin, **raw_as_json(self.raw)}, separators=(",", ":"))
        return made.encode()

    @staticmethod
    def raw_of(values: dict[str, Any]) -> bytes:
        """The inverse of `raw_as_json`; raises what its values make wrong."""
        text, coded = values.get("raw"), values.get("raw_base64")
        return text.encode() if isinstance(text, str) else base64.b64decode(coded or "", validate=True)

    def crashed(self) -> Envelope:
        """The same after its daemon died."""
        return replace(self, crashes=self.crashes + 1)


def fresh(ident: str, raw: bytes, origin: str) -> Envelope:
    """An envelope with a token of its own."""
    return Envelope(ident, secrets.token_hex(16), 1, 0, origin, raw)


def too_large(element: bytes) -> bool:
    """Whether a list element has so many bytes that it is ended without being read."""
    return len(element) > (MAX_ENVELOPE if element.startswith(ENVELOPE) else READ_BYTES)


def raw_as_json(raw: bytes) -> dict[str, str]:
    """`{"raw": text}`, or `{"raw_base64": …}` where the bytes are no UTF-8."""
    try:
        return {"raw": raw.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(raw).decode()}


def read_envelope(element: bytes) -> Envelope | None:
    """The envelope in a list element; None where it is no envelope, BadMessage where it is a broken one."""
    if not element.startswith(ENVELOPE):
        return None
    if too_large(element):
        raise BadMessage(f"the envelope has {len(element)} bytes, more than {MAX_ENVELOPE}")
    values = _loads(element, "envelope")
    if not isinstance(values, dict) or values.get("videod") != 1:
        raise BadMessage("is of a version that this daemon does not know", field="videod")
    try:
        raw = Envelope.raw_of(values)
        made = Envelope(values["id"], values["token"], values["attempt"], values["crashes"], values["origin"], raw)
        # Redis is given both as UTF-8, which half a surrogate pair cannot be; without a token it would pass for fresh
        texts = isinstance(made.id, str) and str.encode(made.token) and str.encode(made.origin) is not None
    except (KeyError, TypeError, ValueError):  # of raw_base64, too, where it is no base64
        raise BadMessage("is not one of ours", field="videod") from None
    counts = type(made.attempt) is int and type(made.crashes) is int
    if not texts or not counts or not ID.fullmatch(made.id) or made.attempt < 1 or made.crashes < 0:
        raise BadMessage("is not one of ours", field="videod")
    return made


def read_message(raw: bytes) -> dict[str, Any]:
    """The object that a producer pushed; a bare address becomes `{"url": address}`. BadMessage otherwise."""
    if len(raw) > MAX_BYTES:
        raise BadMessage(f"the message has {len(raw)} bytes, more than {MAX_BYTES}")
    raw = raw.strip(_SPACE)
    values = _loads(raw, "message") if raw[:1] in (b"{", b'"') else _text(raw)
    if isinstance(values, str):
        address = values.strip()
        if not _ADDRESS.match(address):
            raise BadMessage("the message is neither a JSON object nor an address")
        return {"url": address}
    if not isinstance(values, dict):
        raise BadMessage("the message is neither a JSON object nor an address")
    return values


def guess(raw: bytes) -> dict[str, Any]:
    """What can be read of a message that `read_message` refuses: who waits for its end should learn of it.

    Keys that stand twice, and numbers that are none, are left out. Empty where it is no object, or no JSON at all.
    """
    try:
        text = _text(raw.strip(_SPACE)) if len(raw) <= READ_BYTES else ""
        if not text.startswith("{") or _depth(text) > MAX_DEPTH:
            return {}
        values = json.loads(text, parse_constant=lambda name: None, object_pairs_hook=_keys_once)
    except (BadMessage, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    counts = Counter(key for key, _ in pairs)
    return {key: value for key, value in pairs if counts[key] == 1}


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadMessage(f"the message is not UTF-8 at byte {error.start}") from None


def _loads(raw: bytes, what: str) -> Any:
    text = _text(raw)
    if _depth(text) > MAX_DEPTH:
        raise BadMessage(f"the {what} is nested more than {MAX_DEPTH} deep")
    try:
        return json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_no_key_twice)
    except json.JSONDecodeError as error:
        raise BadMessage(f"the {what} is not JSON: {error.msg} at character {error.pos}") from None
    except (ValueError, RecursionError):  # an integer of more digits than Python converts
        raise BadMessage(f"the {what} holds a number of too many digits") from None


def _depth(text: str) -> int:
    """How deep brackets nest outside of strings; before parsing, since parsing recurses."""
    depth = most = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "{[" else -1
        most = max(most, depth)
    return most


def _no_constant(name: str) -> None:
    raise BadMessage(f"the message holds {name}, which is not JSON")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise BadMessage("the message holds a number that is out of range")
    return number


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadMessage("stands twice in one object", field=twice[:100])
    return made
