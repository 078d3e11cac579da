"""The documentation says what the code does: links, commands, messages, events, keys, codes, rooms."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.daemon import ROOT, Daemon, events, final, push, until
from tests.test_layers import LAYERS, SOURCE
from videod import kinds
from videod.cli.parser import build
from videod.config import Settings, load
from videod.errors import Failure, Permanent, Temporary, UsageError
from videod.events import FINAL
from videod.intake import Order, read
from videod.jobqueue import Names

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README, PROTOCOL, INTERNALS = ROOT / "README.md", ROOT / "docs/protocol.md", ROOT / "docs/internals.md"
COMMON = {"event", "id", "kind", "at", "node", "attempt"}
# what a job may leave out
OPTIONAL = {"meta", "warning"}


# ------------------------------------------------------------------ reading the pages
def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def values(page: Path, kind: str) -> Iterator[Any]:
    """The JSON of the blocks of a kind: one value a block, or one a line."""
    for block in blocks(page, f"json {kind}"):
        try:
            yield json.loads(block)
        except json.JSONDecodeError:
            yield from map(json.loads, block.splitlines())


def table(page: Path, first: str, after: str = "") -> list[list[str]]:
    """The rows of the first table behind `after` whose header begins with `first`."""
    text = page.read_text().partition(after)[2] if after else page.read_text()
    found = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"{page.name}: no table of {first}"
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in found[1].splitlines()]


def ticked(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def names(page: Path, first: str, after: str = "") -> set[str]:
    """What stands in the first column of a table."""
    return {name for row in table(page, first, after) for name in ticked(row[0])}


def commands(page: Path) -> Iterator[list[str]]:
    """Each `videod …` of a page that can be typed: in indented or fenced code, or between backticks."""
    text = page.read_text()
    typed = re.findall(r"^    (.+)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    for line in typed:
        for part in re.split(r"&&|\|\||;|\|", line) if "'" not in line else [line]:
            words = shlex.split(part, comments=True) if re.match(r"\s*(bin/)?videod\s", part) else []
            if words:
                yield words[1:]


# ------------------------------------------------------------------ the pages themselves
def test_readme_is_short_and_begins_with_the_two_commands() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 100
    first_screen = "\n".join(lines[:24])
    assert "make demo" in first_screen and "make test" in first_screen


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, part = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists() and linked.is_relative_to(ROOT), f"{page.name}: {target}"
        headings = [anchor(line) for line in re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)] if part else []
        assert not part or part in headings, f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert used <= targets


def test_pictures_are_whole() -> None:
    for picture in (ROOT / "docs").rglob("*.png"):
        assert picture.read_bytes()[-8:-4] == b"IEND"
    for picture in (ROOT / "docs").glob("*.svg"):
        root = ET.parse(picture).getroot()
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert "prefers-color-scheme: dark" in picture.read_text()
        shown = "".join(root.itertext())
        for key in re.findall(r"videod:[a-z]+(?::[A-Z]+)?", shown):
            assert key in keys_of_the_code(), key


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_parse(page: Path) -> None:
    for argv in commands(page):
        try:
            build().parse_args(argv)
        except SystemExit as end:
            assert end.code == 0, f"{page.name}: videod {shlex.join(argv)}"


def test_commands_are_found() -> None:
    """Guards the test above: it reads what it is meant to."""
    found = [argv[0] for argv in commands(README)]
    assert {"start", "push", "check", "status", "log", "stop"} <= set(found)


def test_what_is_missing_is_missing() -> None:
    """What came meanwhile must leave the list of what is not there yet."""
    text = README.read_text().partition("## Not yet")[2].partition("\n## ")[0]
    line = next((line for line in text.splitlines() if line.startswith("- the commands")), "")
    for verb in ticked(line):
        with pytest.raises(UsageError):
            build().parse_args([verb, "--help"])
    line = next((line for line in text.splitlines() if line.startswith("- the kinds")), "")
    assert not ticked(line) & set(kinds.names())


# ------------------------------------------------------------------ messages
@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An ini that allows what the examples name."""
    ini = tmp_path / "videod.ini"
    text = "[DEFAULT]\nupload_paths = /srv/clips\nupload = file:///srv/clips/\nallow_hosts = example.org 192.0.2.1\n"
    ini.write_text(text + "[storage s3]\nregion = eu-west-1\n")
    return load(str(ini)).settings("prod")


def messages(page: Path) -> list[str]:
    found = [json.dumps(value) for value in values(page, "message")]
    # what stands in quotes behind LPUSH or push
    return found + re.findall(r"(?:LPUSH \S+|videod push) '([^']+)'", page.read_text())


def accepted(message: str, settings: Settings) -> Order:
    # an address of a test network: no look-up of a name
    order = read(message.replace("example.org", "192.0.2.1").encode(), None, settings)
    assert isinstance(order, Order), f"{message}: {order.error}"
    return order


@pytest.mark.parametrize("page", [README, PROTOCOL], ids=lambda p: p.name)
def test_messages_are_accepted_whole(page: Path, settings: Settings) -> None:
    found = messages(page)
    assert len(found) >= 2
    for message in found:
        assert accepted(message, settings).unknown == (), message


def test_each_field_is_told_and_no_other(settings: Settings) -> None:
    shown = [json.loads(message) for message in messages(PROTOCOL)]
    many = next(value for value in shown if "clips" in value)
    asked: set[str] = set()
    for value in ({"url": many["url"]}, many):
        asked |= accepted(json.dumps(value), settings).job.fields._asked
    documented = names(PROTOCOL, "field", "## Fields of every kind") | names(PROTOCOL, "field", "## The kind clip")
    assert documented == asked - {"task_id", "task_info"}

    other = accepted(json.dumps({"kind": "convert", "url": many["url"]}), settings).job.fields._asked
    told = names(PROTOCOL, "field", "## Fields of every kind") | names(PROTOCOL, "field", "## The kind convert")
    assert told == other - {"task_id", "task_info"}

    message = {"kind": "recording", "recorder": "192.0.2.1"}
    other = accepted(json.dumps(message), settings).job.fields._asked
    told = names(PROTOCOL, "field", "## Fields of every kind") | names(PROTOCOL, "field", "## The kind recording")
    assert told == other - {"task_id", "task_info", "user", "password"}

    # the same of an entry of `clips`: each field that the page allows there is known there
    rows = table(PROTOCOL, "field", "## The kind clip")
    inside = {name for row in rows if row[1] == "yes" for name in ticked(row[0])}
    good = {"cut": "exact", "preset": "html5", "upload": "/srv/clips/a", "exact_sound": True}
    for name in documented:
        entry = {"start": 1, name: good.get(name, 2)}
        order = accepted(json.dumps({"url": many["url"], "clips": [entry]}), settings)
        assert (order.unknown == ()) == (name in inside), name


# ------------------------------------------------------------------ errors, keys
def below(kind: type[Failure]) -> set[str]:
    return {one.code for one in kind.__subclasses__()}


def test_error_codes_are_those_of_the_code() -> None:
    rows = {next(iter(ticked(row[0]))): row[1] for row in table(PROTOCOL, "code")}
    assert rows == dict.fromkeys(below(Permanent), "permanent") | dict.fromkeys(below(Temporary), "temporary")


def keys_of_the_code() -> set[str]:
    """Every name that `Names` can make, with NODE and ID for what varies."""
    fields = {name: Settings.__dataclass_fields__[name].metadata["option"].default for name in
              ("prefix", "queue", "batch_queue", "abnormal_queue", "batch_reply_prefix")}  # fmt: skip
    made = Names(**fields, node="NODE")
    found: set[str] = set()
    for name in dir(made):
        value = getattr(made, name)
        if name.startswith("_") or name in ("prefix", "batch_reply_prefix", "node", "of", "served"):
            continue
        of = {
            "job": "ID",
            "cancel": "ID",
            "marks": "ID",
            "imported": "ID",
            "batch": "ID",
            "batch_reply": "batch:TASK",
            "turns": "HOST",
            "line": "HOST",
            "refused": "HOST",
            "page": "ID",
            "pages": "USER",
            "quota": "USER",
            "tries": "WHO",
            "counts_of": "HOUR",
        }
        found.add(value if isinstance(value, str) else value(of.get(name, "NODE")))
    return found


def test_keys_are_those_of_the_code() -> None:
    assert names(PROTOCOL, "key") == keys_of_the_code()


# ------------------------------------------------------------------ rooms
def test_internals_show_every_room_in_its_layer() -> None:
    shown = re.split(r"^L\d", blocks(INTERNALS, "layers")[0], flags=re.MULTILINE)[1:]
    assert len(shown) == len(LAYERS)
    for rooms, lines in zip(LAYERS, reversed(shown), strict=True):
        words = set(re.findall(r"\w+", lines))
        assert rooms - {"__init__", "__main__"} <= words, f"{rooms - words} missing in {lines}"


def test_internals_tell_of_every_room_and_script() -> None:
    rooms = {path.stem for path in SOURCE.iterdir() if not path.name.startswith("__") and path.name != "py.typed"}
    assert names(INTERNALS, "room") == rooms
    scripts = {path.name for path in (SOURCE / "jobqueue/scripts").glob("*.lua")}
    assert names(INTERNALS, "script") == scripts


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_files_that_are_named_exist(page: Path) -> None:
    folders = ("videod", "tests", "tools", "bench", "docs", "etc", "init", "man")
    files = [str(path) for folder in folders for path in (ROOT / folder).rglob("*")] + [p.name for p in ROOT.iterdir()]
    for name in ticked(page.read_text()):
        if re.fullmatch(r"[\w./]+\.(py|lua|txt|ini|svg)", name) and not name.startswith("/"):
            assert any(f"/{path}".endswith(f"/{name}") for path in files), f"{page.name}: {name}"


# ------------------------------------------------------------------ what a real daemon writes
@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "talk.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3"]
    source += ["-f", "lavfi", "-i", "sine=frequency=220:duration=3"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-c:v", "libx264", "-preset", "ultrafast", str(path)], check=True)
    return path


@pytest.fixture
def lived(daemon: Daemon, r: redis.Redis, film: Path) -> Daemon:
    """A daemon that has met all that the page tells of: clips, a duplicate, each way in which a job can end."""
    daemon.start(allow_paths=film.parent, max_attempts=5)
    talk = {
        "id": "talk-1",
        "url": str(film),
        "start": "0:01",
        "end": "0:02",
        "reply_to": "reply:1",
        "meta": {"user": 7},
    }
    push(r, talk)
    assert final(r, "talk-1")["event"] == "done"
    push(r, talk, {"id": "over", "url": str(film), "start": 1, "end": 9}, {"id": "out", "url": str(film), "start": 50})
    assert (final(r, "over")["event"], final(r, "out")["event"]) == ("done", "dead")
    push(r, {"id": "long", "kind": "sleep", "seconds": 60})
    until(lambda: events(r, "long"), 10, "the long job started")
    push(r, {"id": "late", "kind": "sleep", "fail": "tool_crashed"}, {"id": "no", "kind": "sleep", "seconds": 60})
    until(lambda: events(r, "late")[1:], 10, "a job waits for its retry")
    assert daemon.command("cancel", "no").returncode == 0
    assert daemon.stop("--now") == 1
    return daemon


def told(r: redis.Redis) -> dict[str, set[frozenset[str]]]:
    """{event: the sets of fields that it was seen with}"""
    found: dict[str, set[frozenset[str]]] = {}
    for stream in ("videod:events", "videod:progress"):
        for _, entry in r.xrange(stream):
            event = json.loads(entry["json"])
            assert list(event)[:3] == ["event", "id", "kind"] and entry["json"].startswith('{"event":"')
            assert (entry["event"], entry["id"]) == (event["event"], event["id"])
            found.setdefault(event["event"], set()).add(frozenset(event))
    return found


def test_events_and_records_are_those_of_a_real_run(lived: Daemon, r: redis.Redis) -> None:
    output = names(PROTOCOL, "field", "A result, in `output`")
    rows = {next(iter(ticked(row[0]))): (ticked(row[1]), row[2] == "yes") for row in table(PROTOCOL, "event")}
    seen = told(r)
    assert set(rows) == set(seen)
    for name, (more, is_final) in rows.items():
        documented = COMMON | (output if name == "output" else more)
        for fields in seen[name]:
            assert documented - OPTIONAL <= fields <= documented | OPTIONAL, name
        assert is_final == (name in FINAL)
    assert output <= frozenset().union(*seen["output"])

    records = {name: set(r.hkeys(f"videod:job:{name}")) for name in ("talk-1", "over", "out", "long", "late")}
    assert names(PROTOCOL, "field", "## Job records") == set().union(*records.values())

    # the examples have the fields that the real ones have
    for page in (README, PROTOCOL):
        shown = list(values(page, "event"))
        assert shown
        for event in shown:
            assert any(set(event) ^ fields <= OPTIONAL for fields in seen[event["event"]]), event
            for result in event.get("outputs", []):
                assert output - OPTIONAL <= set(result) <= output
    assert {event["event"] for event in values(PROTOCOL, "event")} == set(rows)

    # every key that it made is told of
    patterns = [
        re.escape(key).replace("NODE", ".+").replace("ID", ".+").replace("HOST", ".+").replace("HOUR", ".+")
        for key in names(PROTOCOL, "key")
    ]
    for key in r.scan_iter("videod:*"):
        assert any(re.fullmatch(pattern, key) for pattern in patterns), key
    entry = json.loads(r.lindex("videod:dead", 0))
    assert set(entry) == {"id", "raw", "error", "at"}

    # the log of the README: other numbers and addresses, the same facts
    assert shape(blocks(README, "log")[0]) <= shape(lived.log)


def shape(log: str) -> set[str]:
    plain = re.sub(r"(https?|file)://[^\s:]+", "ADDRESS", log)
    return {re.sub(r"\d+", "0", re.sub(r"INFO \S+", "INFO node", line)) for line in plain.splitlines()}
