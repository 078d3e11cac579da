"""Reading messages: pure, for any bytes at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videod import intake
from videod.config import Config
from videod.errors import BadMessage, Failure
from videod.fields import Fields, seconds
from videod.message import Envelope, read_envelope, read_message
from videod.redact import hide, public

SETTINGS = Config("test.ini", {"DEFAULT": {"state_dir": "/nowhere/state", "allow_hosts": "192.0.2.1"}}).settings("prod")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = """id kind url start end duration clips upload cut preset meta reply_to again node timeout max_attempts
overwrite callback task_id task_info videod""".split()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_bad(raw: bytes) -> None:
    try:
        assert isinstance(read_message(raw), dict)
    except BadMessage:
        pass
    try:
        read_envelope(raw)
    except BadMessage:
        pass


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6))
def test_any_object_is_an_order_or_rejected_for_a_reason(values: dict[str, object]) -> None:
    order = intake.read(json.dumps(values).encode(), None, SETTINGS)
    if isinstance(order, intake.Rejected):
        assert isinstance(order.error, Failure)
        assert order.error.code in ("bad_message", "forbidden_source", "upload_denied"), order.error


@given(st.binary(max_size=100), st.integers(1, 9), st.integers(0, 9))
def test_an_envelope_comes_back_as_it_was(raw: bytes, attempt: int, crashes: int) -> None:
    envelope = Envelope("an-id", "token", attempt, crashes, "queue", raw)
    assert read_envelope(envelope.dumps()) == envelope


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59_999_999))
def test_clock_times(hours: int, minutes: int, micros: int) -> None:
    text = f"{hours}:{minutes:02}:{micros // 1_000_000:02}.{micros % 1_000_000:06}"
    assert seconds(text) == pytest.approx(hours * 3600 + minutes * 60 + micros / 1e6, abs=1e-7)


@pytest.mark.parametrize(
    ("value", "wanted"), [(90, 90), (90.5, 90.5), ("90", 90), ("1:30", 90), ("00:01:30.250", 90.25), (0, 0)]
)
def test_times(value: object, wanted: float) -> None:
    assert seconds(value) == wanted


@pytest.mark.parametrize(
    "value", [True, None, [], "", "1:60", "1:2:3:4", "-1", -1, "1e3", "١", 10**400, "nan", "1:30s"]
)
def test_what_is_no_time(value: object) -> None:
    with pytest.raises((ValueError, OverflowError)):
        seconds(value)


def test_depth_counts_the_outermost_object() -> None:
    read_message(b'{"a":' + b"[" * 31 + b"]" * 31 + b"}")
    with pytest.raises(BadMessage, match="32 deep"):
        read_message(b'{"a":' + b"[" * 32 + b"]" * 32 + b"}")
    read_message(json.dumps({"a": "[" * 100 + '"{' * 50}).encode())


def test_the_largest_message() -> None:
    assert read_message(b'{"a":"' + b"x" * ((1 << 20) - 8) + b'"}')
    with pytest.raises(BadMessage, match="more than 1048576"):
        read_message(b'{"a":"' + b"x" * ((1 << 20) - 7) + b'"}')


def test_unknown_fields_are_those_that_nobody_asked_for() -> None:
    fields = Fields({"url": "x", "clips": [{"strat": 1}], "colour": 1})
    fields.text("url")
    for part in fields.objects("clips") or ():
        part.seconds("start")
    assert fields.unknown() == ["'colour'", "'clips[0].strat', did you mean 'start'?"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("get https://u:p@h.org/a?sig=1&x=2 now", "get https://h.org/a?*** now"),
        ("s3://bucket/key?versionId=3", "s3://bucket/key?***"),
        ("redis://:pass@word@host:6379/0", "redis://host:6379/0"),
        ("Authorization: Bearer abc def", "Authorization: ***"),
        ("nothing to hide: a?b", "nothing to hide: a?b"),
        ('"https://u:p@h/x?y"', '"https://h/x?***"'),
    ],
)
def test_secrets_are_hidden(text: str, left: str) -> None:
    assert hide(text) == left


@given(
    st.text(alphabet=st.characters(exclude_characters="@/?# \t\n\"'<>|\\^`", exclude_categories=("C", "Z")), min_size=1)
)
def test_no_password_survives(password: str) -> None:
    shown = hide(f"failed: https://user:{password}@example.org/v.mp4?token=abc")
    assert shown == "failed: https://example.org/v.mp4?***"
    assert public("https://u:p@example.org/v.mp4?token=abc#f") == "https://example.org/v.mp4"
