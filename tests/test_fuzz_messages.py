"""Wild messages, pure: whatever the bytes, a message is an order or is refused for a reason, soon."""

from __future__ import annotations

import json
import time
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wild import HERE, anything, spelled, wild
from videod import intake
from videod.config import Config
from videod.errors import BadMessage, Permanent
from videod.events import Teller
from videod.fields import MOST_NAMED
from videod.logs import one_line, visible
from videod.message import ENVELOPE, Envelope, read_envelope, read_message
from videod.redact import hide

TEXTS = {"state_dir": "/nowhere/state", "allow_hosts": "127.0.0.1:1", "allow_paths": HERE, "upload": f"{HERE}/up/"}
SETTINGS = Config("test.ini", {"DEFAULT": TEXTS}).settings("prod")
CODES = ("bad_message", "forbidden_source", "upload_denied")
CPU_SECONDS = 1.5
# other work on the machine is no fault of the code
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
LUCK = st.randoms(use_true_random=False)


def is_sound(read: intake.Order | intake.Rejected) -> None:
    if isinstance(read, intake.Rejected):
        assert isinstance(read.error, Permanent) and read.error.code in CODES, read.error
        assert 0 < len(str(read.error)) < 10_000
    else:
        assert len(read.unknown) <= MOST_NAMED + 1


@settings(settings.get_profile("patient"), max_examples=200)
@given(LUCK)
def test_a_wild_message_is_an_order_or_refused(luck: Random) -> None:
    raw = wild(luck)
    try:
        envelope = read_envelope(raw)
    except BadMessage as error:
        assert raw.startswith(ENVELOPE) and str(error)
        return
    begun = time.process_time()
    is_sound(intake.read(envelope.raw if envelope else raw, None, SETTINGS))
    assert time.process_time() - begun < CPU_SECONDS
    if envelope:
        assert read_envelope(envelope.dumps()) == envelope


@pytest.mark.long
def test_twenty_thousand_wild_messages() -> None:
    luck = Random(7)
    for _ in range(20_000):
        raw = wild(luck)
        try:
            envelope = read_envelope(raw)
        except BadMessage:
            continue
        is_sound(intake.read(envelope.raw if envelope else raw, None, SETTINGS))


def test_an_error_names_the_field() -> None:
    """Of fields that are wrong in type each says its name, whatever stands in it."""
    for field in ("start", "end", "duration", "clips", "cut", "preset", "timeout", "max_attempts", "overwrite", "id"):
        for value in ([], {}, [[]], -1.5, "\ud800", "\0"):
            message = {"url": f"{HERE}/none.mp4", field: value}
            read = intake.read(json.dumps(message).encode(), None, SETTINGS)
            assert isinstance(read, intake.Rejected) and str(read.error).startswith(f"{field}"), (message, read)


@settings(settings.get_profile("patient"))
@given(st.binary(max_size=500), st.integers(1), st.integers(0), st.text(st.characters(codec="utf-8")))
def test_an_envelope_holds_any_bytes(raw: bytes, attempt: int, crashes: int, origin: str) -> None:
    envelope = Envelope("an-id", "token", attempt, crashes, origin, raw)
    assert read_envelope(envelope.dumps()) == envelope


# with an empty token it would pass for a fresh message
BROKEN = (
    {"token": ""},
    {"raw_base64": "é"},
    {"raw_base64": "a"},
    {"token": "\ud800"},
    {"origin": "\ud800"},
    {"raw": "\ud800"},
)


@pytest.mark.parametrize("change", BROKEN, ids=str)
def test_a_broken_envelope_is_a_bad_message(change: dict[str, str]) -> None:
    """Some of these once stopped the daemon, and its next start: they raised something else."""
    made = {"videod": 1, "id": "a", "token": "t", "attempt": 1, "crashes": 2, "origin": "q", **change}
    with pytest.raises(BadMessage, match="videod: is not one of ours"):
        read_envelope(json.dumps(made, separators=(",", ":")).encode())


@settings(settings.get_profile("patient"))
@given(LUCK)
def test_an_event_is_one_line_of_ascii_that_begins_with_event(luck: Random) -> None:
    try:
        meta = read_message(b'{"meta":' + spelled(anything(luck), luck).encode("utf-8", "surrogatepass") + b"}")["meta"]
    except BadMessage:
        return
    told = Teller("an-id", "clip", "node", 1, meta).event("done", outputs=[])
    assert told.isascii() and told.isprintable() and told.startswith('{"event":"done","id":"an-id","kind":"clip",')
    assert json.loads(told).get("meta") == meta


PIECES = [
    '\\"',
    '"',
    "{",
    "[",
    "a",
    "x-",
    "token",
    "http",
    "://",
    "a://b@",
    "?",
    " ",
    "\n",
    "cookie:",
    "\\",
    "9",
    ",",
    "é",
]


@pytest.mark.parametrize("head", ["{", '"', "token ", '{"videod":'])
def test_no_piece_many_times_over_takes_long(head: str) -> None:
    """A megabyte of \\\" once held all threads for an hour, while its brackets were counted."""
    for piece in PIECES:
        text = head + piece * ((250_000 - len(head)) // len(piece.encode()))
        for read in (
            lambda t: intake.read(t.encode(), None, SETTINGS),
            lambda t: read_or_bad(t.encode()),
            hide,
            one_line,
        ):
            begun = time.process_time()
            read(text)
            assert time.process_time() - begun < CPU_SECONDS, (head, piece)


def read_or_bad(raw: bytes) -> None:
    try:
        read_envelope(raw)
    except BadMessage:
        return


def test_a_hundred_thousand_unknown_fields_are_counted() -> None:
    message = {"id": "a", "url": f"{HERE}/none.mp4", "clips": [{"strat": 1}]}
    read = intake.read(json.dumps({**message, **{f"x{n}": 1 for n in range(60_000)}}).encode(), None, SETTINGS)
    assert isinstance(read, intake.Order)
    assert len(read.unknown) == MOST_NAMED + 1 and read.unknown[-1] == f"and {60_001 - MOST_NAMED} others"


@pytest.mark.parametrize(
    "text", ["https://a/https://u:S@b/", "http://a,http://u:S@b/", '{"Cookie": "S"}', "x-a-token=S"]
)
def test_no_second_secret_survives(text: str) -> None:
    assert "S" not in hide(text)


@settings(settings.get_profile("patient"), max_examples=100)
@given(st.text(), st.text())
def test_no_secret_survives_whatever_stands_around_it(before: str, after: str) -> None:
    assert "S3CR3T" not in hide(f"{before} https://u:S3CR3T@h/p?k=S3CR3T {after}")
    assert "S3CR3T" not in hide(f"{before}\nAuthorization: S3CR3T\n{after}")


@settings(settings.get_profile("patient"), max_examples=100)
@given(st.text())
def test_shown_text_is_one_line_and_steers_no_terminal(text: str) -> None:
    shown = visible(text + "\x1b\x9b\x85\u2028\u202e\ud800")
    assert len(shown.splitlines()) == 1 and not set(shown) & {chr(n) for n in (*range(32), *range(127, 160), 0x202E)}
    assert shown.encode()
