"""`public_only`: a message that strangers had a hand in reaches no private network, in whatever way it asks."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, final, push, until
from tests.origin import Origin, Page
from videod.config import load
from videod.job import Head
from videod.jobqueue.outbox import Letter, letter
from videod.postman import deliver

# (what the message says, the end that it has with public_only)
Case = tuple[dict[str, Any], str]
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"


def own_address() -> str:
    """An address of this machine that is neither public nor loopback; '' where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing: the kernel chooses an address
        except OSError:
            return ""
        found = ipaddress.ip_address(probe.getsockname()[0])
    return "" if found.is_global or found.is_loopback else str(found)


@pytest.fixture
def inside() -> Iterator[Origin]:
    """A server in a private network."""
    if not (address := own_address()):
        pytest.skip("this machine has no private address")
    with Origin(address) as made:
        yield made


def clip(outside: Origin, inside: Origin) -> Case:
    return {"url": inside.put("/a.mp4", b"x")}, "forbidden_source"


def redirected(outside: Origin, inside: Origin) -> Case:
    return {"url": outside.redirect("/b.mp4", inside.put("/b.mp4", b"x"))}, "forbidden_source"


def whole(outside: Origin, inside: Origin) -> Case:
    """Not to be read in parts, so by wget, which is led inside."""
    where = inside.put("/c.mp4", b"x")
    parts, led = Page(b"x" * (2 << 20), ranges=False), Page(status=302, headers={"Location": where})
    return {"url": outside.put("/c.mp4", parts, led), "start": 0, "end": 1}, "forbidden_source"


def convert(outside: Origin, inside: Origin) -> Case:
    return {"kind": "convert", "url": outside.redirect("/d.mp4", inside.put("/d.mp4", b"x"))}, "forbidden_source"


def segments(outside: Origin, inside: Origin) -> Case:
    listed = PLAYLIST.format(inside.put("/e.ts", b"x")).encode()
    return {"url": outside.put("/e.m3u8", listed), "start": 0, "end": 1}, "forbidden_source"


def file(outside: Origin, inside: Origin) -> Case:
    files = [{"url": inside.put("/f", b"x"), "name": "f"}]
    return {"kind": "download", "files": files}, "forbidden_source"


def file_redirected(outside: Origin, inside: Origin) -> Case:
    files = [{"url": outside.redirect("/g", inside.put("/g", b"x")), "name": "g"}]
    return {"kind": "download", "files": files}, "partial"


def upload(outside: Origin, inside: Origin) -> Case:
    files = [{"url": outside.put("/h", b"x"), "name": "h"}]
    return {"kind": "download", "files": files, "upload": inside.url + "/h"}, "upload_denied"


def upload_redirected(outside: Origin, inside: Origin) -> Case:
    files = [{"url": outside.put("/i", b"x"), "name": "i"}]
    to = outside.redirect("/to", inside.url + "/i", 307)
    return {"kind": "download", "files": files, "upload": to}, "upload_denied"


def callback(outside: Origin, inside: Origin) -> Case:
    return {"kind": "sleep", "callback": inside.put("/hook", b"")}, "bad_message"


def recorder(outside: Origin, inside: Origin) -> Case:
    return {"kind": "recording", "recorder": f"{inside.host}:{inside.port}"}, "forbidden_source"


WAYS = (
    clip,
    redirected,
    whole,
    convert,
    segments,
    file,
    file_redirected,
    upload,
    upload_redirected,
    callback,
    recorder,
)


def test_no_way_leads_inside(daemon: Daemon, r, origin: Origin, inside: Origin) -> None:
    login = f"[recorder {inside.host}]\nhost = {inside.host}:{inside.port}\nuser = u\npassword = p\n"
    daemon.sections = login
    daemon.start(allow_hosts="* 127.0.0.1")
    for way in WAYS:
        message, code = way(origin, inside)
        push(r, {"id": f"closed-{way.__name__}", "public_only": True, **message})
        end = final(r, f"closed-{way.__name__}")
        assert (end["event"], end.get("error", {}).get("code")) == ("dead", code), (way, end)
        if code == "partial":
            assert "forbidden_source" in json.dumps(end["error"])
        assert inside.seen() == [], way


@pytest.mark.parametrize("way", WAYS)
def test_each_leads_inside_without_it(daemon: Daemon, r, origin: Origin, inside: Origin, way: Callable) -> None:
    """Guards the test above: the server there is asked where the message does not forbid it."""
    daemon.sections = f"[recorder {inside.host}]\nhost = {inside.host}:{inside.port}\nuser = u\npassword = p\n"
    daemon.start(allow_hosts="* 127.0.0.1")
    message, _ = way(origin, inside)
    push(r, {"id": "open", "public_only": False, **message})
    final(r, "open")
    until(inside.seen, 10, "it was asked")


def test_who_is_named_may_be_reached(daemon: Daemon, r, origin: Origin, inside: Origin) -> None:
    daemon.start(allow_hosts=f"* 127.0.0.1 {inside.host}")
    files = [{"url": inside.put("/f", b"x"), "name": "f"}]
    push(r, {"id": "a", "kind": "download", "files": files, "public_only": True})
    assert final(r, "a")["event"] == "done"


def test_a_bad_message_calls_nobody_inside(daemon: Daemon, r, origin: Origin, inside: Origin) -> None:
    """Its callback is honoured, and judged when it is delivered, since nobody checked it before."""
    daemon.start(allow_hosts="* 127.0.0.1")
    url = inside.put("/hook", b"")
    for closed in (True, "yes"):
        push(r, {"id": f"a-{closed}", "kind": "nope", "callback": url, "public_only": closed})
        assert final(r, f"a-{closed}")["error"]["code"] == "bad_message"
    push(r, {"id": "b", "kind": "nope", "callback": url})
    until(lambda: inside.seen("/hook"), 10, "the open one is told")
    until(lambda: daemon.log.count("may not be reached") >= 2, 10, "the others were tried")
    assert [json.loads(seen.body)["id"] for seen in inside.seen("/hook")] == ["b"]


def test_cancelled_while_it_waits(daemon: Daemon, r, inside: Origin) -> None:
    """No daemon has read it: the word for the callback is written by who cancels."""
    daemon.write()
    push(r, {"id": "a", "kind": "sleep", "callback": inside.url, "public_only": True})
    assert daemon.command("cancel", "-e", "prod", "a").returncode == 0
    assert '"private":false' in r.zrange("videod:outbox", 0, 0)[0]


def test_letters_of_before_are_read(tmp_path: Path) -> None:
    """A letter says `private` only where it is false: daemons of the version before know no such field."""
    assert "private" not in letter("http://192.0.2.1/", "done", "{}")
    assert json.loads(letter("http://192.0.2.1/", "done", "{}", private=False))["private"] is False
    assert Letter("d", "http://192.0.2.1/", "done", "{}").private
    (tmp_path / "videod.ini").write_text(f"[DEFAULT]\nstate_dir = {tmp_path}\n")
    settings = load(str(tmp_path / "videod.ini")).settings("prod")
    refused = deliver(Letter("d", "http://192.0.2.1/", "done", "{}", private=False), settings)
    assert "may not be reached" in refused
    assert not Head().public_only
