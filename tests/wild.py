"""Messages that nobody should send, made by chance: `wild(luck)`. No one of them can reach a real host.

Hosts are loopback at a closed port, addresses that the guard refuses, or names under .invalid; files lie below HERE.
`luck` is a random.Random: a seeded one repeats a run, that of hypothesis makes failures small.
"""

# ruff: noqa: E501 - tables

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any

HERE = "/tmp/videod-wild"
OTHER = "elsewhere"
IDENTS = [f"wild-{n}" for n in range(40)]
TEXTS = [
    "", " ", "a", "x" * 300, "é", "\ud800", "\udfff\ud800", "\0", "\x1b[2J\x1b]0;gone\x07", "\x9b31m", "a\u2028b\x85c",
    "\u202egnp.exe", "\ufeff", "line\n2026-11-21T00:00:00.000Z INFO n forged: done", "\r\rforged", "%s %d {0} ${HOME}",
    "../../etc/passwd", "-rf", "$(reboot)", "'; DROP", "null", "true", "０", "a" * 9000, "*", "video_info_queue",
    "videod:dead", "{id}{n}{name}{ext}", "{nope}", "{{}}", "batch:1", '"', "\\", "\\\"" * 200,
]  # fmt: skip
TIMES = [
    0, 1, 1.5, -1, "0", "90", "90.5", "1:30", "00:01:30.250", "1:60", "1:2:3:4", "-1", "1e3", "١", "1,5", " 5 ", "5\n",
    "999999:59:59.999999999999", "0x10", "nan", "inf", 1e12, 1e13, 10**300, True, "1:30s", "::", ".5", "5.",
]  # fmt: skip
HOSTS = [
    "127.0.0.1:1", "no.invalid", "NO.INVALID.", "u:p@no.invalid", "127.0.0.1", "0x7f000001", "2130706433", "0177.1",
    "[::1]", "[::ffff:127.0.0.1]:1", "[fe80::1%25lo]", "169.254.169.254", "[64:ff9b::7f00:1]", "１２７.0.0.1",
    "a..invalid", "-x.invalid", "localhost", "no.invalid:99999", "no.invalid:0", "no.invalid:", "[", "]", "[::1", "é.invalid",
    "",    "no.invalid\\@127.0.0.1", "127.0.0.1:1#@no.invalid", "xn--.invalid", f"{'a' * 64}.invalid", f"{'a.' * 130}invalid",
]  # fmt: skip
PATHS = [f"{HERE}/{name}" for name in ("none.mp4", "%00", "a/../../../etc/passwd", "%2e%2e/x", "n" * 300, "é\udcff")]
PATHS += ["/etc/passwd", "/", "//", "/proc/self/mem", "/dev/zero", "/dev/stdin", HERE]
QUEUES = ("video_info_queue", "batch_download_tasks", "abnormal_video_info_queue")


class Raw(str):
    """JSON as it shall stand, right or wrong."""


NUMBERS = [Raw(text) for text in (
    "NaN", "-Infinity", "1e999", "-1e999", "9" * 400, "9" * 5000, "1" + "0" * 20, "-0", "01", "1.", ".5", "+1",
    "1e-999", "0.1" + "0" * 3000, "0x10",
)]  # fmt: skip


def address(luck: Random) -> str:
    """Somewhere; nowhere that answers."""
    if luck.random() < 0.25:
        return luck.choice(["", "file:", "file://", "FILE:///", "file://localhost", "file://host"]) + luck.choice(PATHS)
    scheme = luck.choice(["http", "https", "HTTP", "s3", "gs", "az", "rclone", "ftp", "concat", "javascript", ""])
    tail = luck.choice(["", "/", "/a.mp4", "/%00", "/a b", "/?sig=secret", "/#f", "/../x", "/{id}", "/a\nb", "/\\x"])
    return f"{scheme}{luck.choice(['://', '://', '://', ':', ':/', ':///'])}{luck.choice(HOSTS)}{tail}"


def anything(luck: Random, depth: int = 0) -> Any:
    """Any JSON, and some that is none."""
    which = luck.randrange(10 if depth < 4 else 7)
    if which < 6:
        return luck.choice([luck.choice(TEXTS), luck.choice(TIMES), None, True, False, luck.choice(NUMBERS)])
    if which == 6:
        deep = luck.choice([20, 31, 33, 400, 20_000])
        return Raw(luck.choice(["[" * deep + "]" * deep, '{"a":' * deep + "1" + "}" * deep, "[" * deep]))
    if which == 7:
        return {luck.choice([*TEXTS, *FIELDS]): anything(luck, depth + 1) for _ in range(luck.randrange(4))}
    return [anything(luck, depth + 1) for _ in range(luck.randrange(4))]


def clip(luck: Random) -> dict[str, Any]:
    """An entry of `clips`."""
    names = ("start", "end", "duration", "upload", "cut", "preset", "exact_sound", "strat")
    return {name: FIELDS.get(name, anything)(luck) for name in names if luck.random() < 0.3}


def _of(*values: Any) -> Callable[[Random], Any]:
    return lambda luck: luck.choice(values)


# what a field may be when it is near to right
FIELDS: dict[str, Callable[[Random], Any]] = {
    "id": lambda luck: luck.choice([*IDENTS, f"w{luck.getrandbits(60):x}", f"w{luck.getrandbits(60):x}"]),
    "kind": _of("clip", "clip", "clip", "sleep", "sleep", "nope", "Clip", "clip: done", "os", "__init__", "x\x85y"),
    "url": address,
    "start": _of(*TIMES),
    "end": _of(*TIMES),
    "duration": _of(*TIMES),
    "clips": lambda luck: [clip(luck) for _ in range(luck.choice([0, 1, 2, 3, 30]))],
    "upload": lambda luck: luck.choice([address(luck), f"file:{HERE}/up/{{id}}-{{n}}.{{ext}}", f"{HERE}/up/same.mp4"]),
    "cut": _of("exact", "keyframe", "encode", "copy", "Exact"),
    "preset": _of("default", "html5", "nope"),
    "meta": anything,
    "reply_to": _of("reply:a", "reply:b", "a text", *QUEUES, "video_info_queue@x", "videod:events", "\u2028"),
    "again": _of(True, False, 1, "true"),
    "node": _of(OTHER, "../x", "-", "é"),
    "timeout": _of(5, "0:05", 0, -1, 1e300, "soon"),
    "max_attempts": _of(1, 1, 1, 2, 0, 101, 1.0, True, "3"),
    "overwrite": _of(True, False, "no", 0),
    "public_only": _of(True, True, False, "yes"),
    "callback": lambda luck: luck.choice([address(luck), "http://127.0.0.1:1/hook", "http://"]),
    "task_id": _of(1, "t-1", "batch:1", -5, "x" * 123, ""),
    "task_info": lambda luck: [{"fn": luck.choice(TEXTS), "url": address(luck)}],
    "videod": _of(1, 2, True),
}  # fmt: skip
HARMLESS = (0, 0.001, 0.004, -1, "soon", True)  # what `sleep` may sleep


def spelled(value: Any, luck: Random) -> str:
    """A value as JSON, as people and programs write it."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        pairs = [f"{spelled(name, luck)}:{spelled(inner, luck)}" for name, inner in value.items()]
        if pairs and luck.random() < 0.03:
            pairs.append(luck.choice(pairs))
        return "{" + luck.choice([",", ", ", ",\n\t"]).join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spelled(inner, luck) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=luck.random() < 0.7)


def an_object(luck: Random) -> dict[str, Any]:
    """A message with fields right and wrong."""
    made = {"id": FIELDS["id"](luck), "kind": FIELDS["kind"](luck)} if luck.random() < 0.8 else {}
    made |= {"url": address(luck)} if luck.random() < 0.7 else {}
    for name in luck.sample(list(FIELDS), luck.randrange(5)):
        made[name] = anything(luck) if luck.random() < 0.3 else FIELDS[name](luck)
    for _ in range(luck.choice([0, 0, 0, 1, 3])):
        made[luck.choice(TEXTS)] = anything(luck)
    if made.get("kind") == "sleep":
        made["seconds"] = luck.choice(HARMLESS)
    return made


def an_envelope(luck: Random) -> str:
    """One that is forged, broken, or of another version."""
    made: dict[str, Any] = {"videod": luck.choice([1, 1, 1, 1, 2, True, "1"]), "id": FIELDS["id"](luck)}
    made |= {"token": luck.choice(["f" * 32, *TEXTS]), "attempt": luck.choice([1, 2, 0, -1, 1.0, Raw("9" * 99)])}
    made |= {"crashes": luck.choice([0, 1, 2, 3, 99, -1, Raw("9" * 999)]), "origin": luck.choice([*QUEUES, *TEXTS])}
    inner = spelled(an_object(luck), luck)
    coded = base64.b64encode(inner.encode("utf-8", "replace")).decode()
    made |= luck.choice([{"raw": inner}, {"raw_base64": coded}, {"raw_base64": luck.choice(TEXTS)}, {"raw": 5}, {}])
    made |= {luck.choice([*made]): anything(luck)} if luck.random() < 0.3 else {}
    made.pop(luck.choice([*made])) if luck.random() < 0.2 else None
    return "{" + ",".join(f"{json.dumps(name)}:{spelled(value, luck)}" for name, value in made.items()) + "}"


def wild(luck: Random) -> bytes:
    """One list element."""
    which = luck.random()
    if which < 0.05:
        return luck.randbytes(luck.choice([0, 1, 10, 200]))
    if which < 0.15:
        return luck.choice([address(luck), json.dumps(address(luck)), luck.choice(TEXTS)]).encode(
            "utf-8", "surrogatepass"
        )
    text = an_envelope(luck) if which < 0.35 else spelled(an_object(luck), luck)
    coding = luck.choice(["utf-8"] * 12 + ["utf-16", "utf-32-le", "utf-8-sig", "latin-1", "utf-7"])
    made = text.encode(coding, "surrogatepass" if coding == "utf-8" else "replace")
    if which > 0.97:
        made = made[: luck.randrange(len(made) + 1)]
    elif which > 0.95:
        at = luck.randrange(len(made) + 1)
        made = made[:at] + luck.choice([b"\0", b"\xff", b'"', b"{", b"\\", b"\xed\xa0\x80"]) + made[at:]
    return luck.choice([b"", b"", b"", b" \n", b"\xef\xbb\xbf", b"\x0c"]) + made
