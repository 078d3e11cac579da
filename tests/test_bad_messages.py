"""Anything may be pushed: it ends dead with the field named, and the next message is taken."""

from __future__ import annotations

import base64
import json

import pytest

from tests.daemon import Daemon, accounted, events, final, push, until

CLIP = {"url": "https://example.org/v.mp4"}
DEEP = '{"id":"b","url":"https://example.org/v.mp4","meta":' + "[" * 40 + "]" * 40 + "}"
FORGED = '{"videod":1,"id":"b","token":"x","attempt":1,"crashes":0,"origin":"q","raw":"{}"}'

# what is pushed, what the reason must name
BAD = {
    "not UTF-8": (b'{"id":"b","url":"\xff"}', "not UTF-8"),
    "not JSON": ('{"id":"b",', "not JSON"),
    "no address": ("rm -rf /tmp/x", "neither a JSON object nor an address"),
    "empty": ("", "neither"),
    "a number": ("17", "neither"),
    "a list": ("[1,2]", "neither"),
    "NaN": ('{"id":"b","url":"https://example.org/v.mp4","start":NaN}', "NaN"),
    "Infinity": ('{"id":"b","url":"https://example.org/v.mp4","start":-Infinity}', "Infinity"),
    "out of range": ('{"id":"b","url":"https://example.org/v.mp4","start":1e999}', "out of range"),
    "a key twice": ('{"id":"b","url":"https://example.org/a","url":"https://example.org/b"}', "url: stands twice"),
    "too deep": (DEEP, "nested more than 32"),
    "many digits": ('{"id":"b","start":' + "9" * 5000 + "}", "digits"),
    "huge": (json.dumps({"id": "b", **CLIP, "meta": "x" * (1 << 20)}), "more than 1048576"),
    "unknown kind": ({"id": "b", "kind": "mine-bitcoin"}, "kind: 'mine-bitcoin'"),
    "kind is no text": ({"id": "b", "kind": ["clip"]}, "kind: "),
    "no url": ({"id": "b"}, "url: is missing"),
    "url is a number": ({"id": "b", "url": 5}, "url: is not a text"),
    "url with a line end": ({"id": "b", "url": "https://example.org/\r\nHost: x"}, "url: holds control characters"),
    "url is an option": ({"id": "b", "url": "--output=/tmp/x"}, "url"),
    "other scheme": ({"id": "b", "url": "gopher://example.org/v"}, "url"),
    "a playlist of ffmpeg": ({"id": "b", "url": "concat:/etc/passwd|/etc/group"}, "url"),
    "forbidden file": ({"id": "b", "url": "file:///etc/passwd"}, "url: "),
    "forbidden path": ("/etc/passwd", "url: "),
    "encoded path": ({"id": "b", "url": "file:///%65tc/passwd"}, "url: "),
    "loopback": ({"id": "b", "url": "http://127.0.0.1:6379/"}, "url: "),
    "loopback in hex": ({"id": "b", "url": "http://0x7f000001/"}, "url: "),
    "metadata": ({"id": "b", "url": "http://169.254.169.254/latest"}, "url: "),
    "bad id": ({"id": "../../etc", **CLIP}, "id: is no id"),
    "id of a batch": ({"id": "batch:7", **CLIP}, "id: begins with batch:"),
    "id is an option": ({"id": "-rf", **CLIP}, "id: is no id"),
    "start is a word": ({"id": "b", **CLIP, "start": "soon"}, "start: is no time"),
    "start below 0": ({"id": "b", **CLIP, "start": -1}, "start: is negative"),
    "start is true": ({"id": "b", **CLIP, "start": True}, "start: is no time"),
    "end before start": ({"id": "b", **CLIP, "start": 5, "end": 5}, "end: is not after start"),
    "end and duration": ({"id": "b", **CLIP, "end": 5, "duration": 5}, "duration: stands beside end"),
    "duration 0": ({"id": "b", **CLIP, "duration": 0}, "duration: is 0"),
    "clips is empty": ({"id": "b", **CLIP, "clips": []}, "clips: is not a list with something in it"),
    "clips holds text": ({"id": "b", **CLIP, "clips": ["1-2"]}, "clips[0]: is not an object"),
    "bad time in clips": ({"id": "b", **CLIP, "clips": [{"end": 1}, {"start": "x"}]}, "clips[1].start"),
    "clips and start": ({"id": "b", **CLIP, "start": 1, "clips": [{"end": 1}]}, "clips: stands beside"),
    "one name twice": ({"id": "b", **CLIP, "clips": [{"end": 1}, {"end": 2}], "upload": "/nowhere/x.mp4"}, "upload"),
    "unknown cut": ({"id": "b", **CLIP, "cut": "instant"}, "cut: is none of"),
    "unknown preset": ({"id": "b", **CLIP, "preset": "best"}, "preset: 'best' is none of"),
    "upload elsewhere": ({"id": "b", **CLIP, "upload": "file:///etc/cron.d/x"}, "upload: "),
    "upload climbs": ({"id": "b", **CLIP, "upload": "{clips}/../../x"}, "upload: "),
    "reply_to a queue": ({"id": "b", **CLIP, "reply_to": "video_info_queue"}, "reply_to: is one of the queues"),
    "reply_to a node's": ({"id": "b", **CLIP, "reply_to": "video_info_queue@x"}, "reply_to: is one of the queues"),
    "reply_to our keys": ({"id": "b", **CLIP, "reply_to": "videod:dead"}, "reply_to: lies below videod:"),
    "meta too large": ({"id": "b", **CLIP, "meta": "x" * 20000}, "meta: has more than 16384"),
    "timeout 0": ({"id": "b", **CLIP, "timeout": 0}, "timeout: is 0"),
    "too many attempts": ({"id": "b", **CLIP, "max_attempts": 101}, "max_attempts: is not in 1..100"),
    "callback to a file": ({"id": "b", **CLIP, "callback": "file:///etc/passwd"}, "callback: is no http"),
    "overwrite is a text": ({"id": "b", **CLIP, "overwrite": "no"}, "overwrite: is neither true nor false"),
    "forged envelope": (FORGED, "videod: is not one of ours"),
    "broken envelope": ('{"videod":1,"id":"b"}', "videod: is not one of ours"),
    "envelope of the future": ('{"videod":2,"id":"b"}', "videod: "),
}  # fmt: skip


def test_each_ends_dead_with_the_field_named(daemon: Daemon, r) -> None:
    """One daemon for all of them: none stops it, and each is kept byte for byte in the dead list."""
    secret = daemon.folder / "outside"
    secret.write_text("untouched")
    daemon.start()
    for n, (name, (message, _)) in enumerate(BAD.items(), 1):
        if isinstance(message, dict) and "upload" in message:
            message["upload"] = message["upload"].replace("{clips}", f"file:{daemon.clips}")
        push(r, message)
        until(lambda n=n: r.llen("videod:dead") == n, 10, f"{name} is dead")
    wrong = []
    for (name, (message, words)), entry in zip(BAD.items(), reversed(r.lrange("videod:dead", 0, -1)), strict=True):
        letter = json.loads(entry)
        raw = base64.b64decode(letter["raw_base64"]) if "raw_base64" in letter else letter["raw"].encode()
        pushed = (
            message
            if isinstance(message, bytes)
            else (message if isinstance(message, str) else json.dumps(message)).encode()
        )
        if raw != pushed or words not in letter["error"]["message"]:
            wrong.append((name, words, letter["error"]))
        if letter["error"]["code"] not in ("bad_message", "forbidden_source", "upload_denied"):
            wrong.append((name, letter["error"]))
    assert not wrong
    assert {e["event"] for e in events(r)} == {"dead"}
    push(r, {"id": "good", "kind": "sleep"})
    assert final(r, "good")["event"] == "done"
    assert secret.read_text() == "untouched"
    assert not daemon.clips.exists()


def test_reply_to_and_meta_are_honoured_where_they_can_be_read(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "b", "kind": "clip", "url": 5, "reply_to": "reply", "meta": {"n": 1}})
    dead = final(r, "b")
    assert dead["meta"] == {"n": 1}
    assert dead["error"]["stage"] == "message"
    assert [json.loads(e)["event"] for e in r.lrange("reply", 0, -1)] == ["dead"]
    accounted(r, ["b"])


def test_a_bad_reply_list_does_not_stop_the_job(daemon: Daemon, r) -> None:
    daemon.start()
    r.set("text", "not a list")
    push(r, {"id": "a", "kind": "sleep", "reply_to": "text"})
    assert final(r, "a")["event"] == "done"
    assert r.get("text") == "not a list"
    assert "text is no list" in daemon.log
    assert "text is no list" in r.hget("videod:job:a", "warnings")


def test_unknown_fields_are_named(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "a", "kind": "sleep", "secnds": 1, "meta": None})
    final(r, "a")
    assert json.loads(r.hget("videod:job:a", "warnings")) == ["unknown field 'secnds', did you mean 'seconds'?"]


def test_an_id_that_runs_or_is_done_is_dropped(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "a", "kind": "sleep", "seconds": 1})
    until(lambda: events(r, "a"), 10, "started")
    push(r, {"id": "a", "kind": "sleep", "reply_to": "second", "again": True})
    until(lambda: r.llen("second"), 10, "answered")
    assert json.loads(r.lindex("second", 0))["state"] == "running"
    final(r, "a")
    push(r, {"id": "a", "kind": "sleep", "reply_to": "third"})
    until(lambda: r.llen("third"), 10, "answered")
    told = json.loads(r.lindex("third", 0))
    assert (told["event"], told["state"]) == ("duplicate", "done")
    push(r, {"id": "a", "kind": "sleep", "reply_to": "fourth", "again": True})
    until(lambda: r.llen("fourth") == 2, 10, "ran once more")
    assert [e["event"] for e in events(r, "a")] == ["started", "duplicate", "done", "duplicate", "started", "done"]


def test_a_dead_id_runs_again(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "a", "kind": "nope"})
    assert final(r, "a")["event"] == "dead"
    push(r, {"id": "a", "kind": "sleep"})
    until(lambda: r.hget("videod:job:a", "state") == "done", 10, "done")
    assert r.hget("videod:job:a", "error") is None


@pytest.mark.parametrize("form", ['"%s"', "%s", "  %s\n"])
def test_a_bare_address_is_a_message(daemon: Daemon, r, form: str) -> None:
    daemon.start()
    push(r, form % "https://no-such-host.invalid/v.mp4")
    until(lambda: [e for e in events(r) if e["event"] == "dead"], 30, "ended")
    assert events(r)[-1]["error"]["code"] == "fetch_failed"


def test_a_fault_of_a_kind_ends_the_job_and_not_the_daemon(daemon: Daemon, r) -> None:
    """A kind that raises what nobody expects, while reading and while running."""
    daemon.start()
    push(r, {"id": "a", "kind": "sleep", "seconds": 0, "fault": "read"}, {"id": "b", "kind": "sleep", "fault": "run"})
    for ident in ("a", "b"):
        error = final(r, ident)["error"]
        assert (error["code"], "RuntimeError" in error["message"]) == ("internal", True)
    push(r, {"id": "c", "kind": "sleep"})
    assert final(r, "c")["event"] == "done"


def test_a_bad_message_does_not_touch_the_done_job_of_its_id(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "a", "kind": "sleep"})
    final(r, "a")
    push(r, {"id": "a", "kind": "nope", "reply_to": "second"})
    until(lambda: r.llen("second"), 10, "answered")
    assert json.loads(r.lindex("second", 0))["event"] == "duplicate"
    assert r.hget("videod:job:a", "state") == "done"
    assert [e["event"] for e in events(r, "a")] == ["started", "done", "duplicate"]
