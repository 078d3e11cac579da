"""Ranges of objects in stores: S3 with signatures that are checked, and servers that play a store on a bad day."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.origin import Origin, Page
from tests.test_ranges import ENDS, Mute, ending, right
from tests.transfer_fixtures import S3, settings_of
from videod.config import Settings
from videod.errors import Denied, FetchFailed, ForbiddenSource, NotFound, Stalled, TooBig
from videod.process import Tools
from videod.transfer import ranges
from videod.transfer.parts import PROBE
from videod.transfer.ranges import Changed, Refused, Remote, consistently

MIB = 1 << 20
BODY = b"\0" + os.urandom(20 * MIB + 76)
PARTS = [(100, 200), (2 * MIB, 19 * MIB), (len(BODY) - 5, len(BODY))]
Open = Callable[..., Remote]


@pytest.fixture
def settings(tmp_path: Path, s3: S3) -> Settings:
    return settings_of(tmp_path, {"storage s3": s3.section()})


@pytest.fixture
def out(tools: Tools) -> Path:
    return tools.scratch / "parts"


@pytest.fixture
def stores(origin: Origin, tmp_path: Path) -> Settings:
    """Each scheme's store is the origin."""
    pytest.importorskip("obstore")
    account = tmp_path / "account.json"
    keys = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    account.write_text(json.dumps({"gcs_base_url": origin.url, "disable_oauth": True, **keys}))
    shared = {"allow_http": "yes", "endpoint": origin.url}
    sections = {
        "storage s3": {"access_key": "x", "secret_key": "s3cret", **shared},
        "storage gs": {"service_account": str(account), **shared},
        "storage az": {"access_key": "name", "secret_key": "a2V5", **shared},
    }
    return settings_of(tmp_path, sections)


def no_threads() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith(("range", "asyncio"))]


def test_only_what_is_needed_comes(s3: S3, settings: Settings, tools: Tools, out: Path) -> None:
    s3.client.put_object(Bucket="videos", Key="r/a b.mp4", Body=BODY)
    tag = s3.client.head_object(Bucket="videos", Key="r/a b.mp4")["ETag"]
    received: list[int] = []
    with ranges.open("s3://videos/r/a b.mp4", settings, tools, on_bytes=received.append) as remote:
        assert (remote.size, remote.validator, remote.url) == (len(BODY), tag, "s3://videos/r/a b.mp4")
        assert remote.read(10, 100) == BODY[10:110] and remote.read(19 * MIB, 1000) == BODY[19 * MIB :][:1000]
        assert remote.read(len(BODY) - 9, 100) == BODY[-9:]
        assert remote.fetch(PARTS, out) == 17 * MIB + 105
        assert right(out, PARTS, BODY) and remote.fetched == sum(received) == PROBE + 1009 + 17 * MIB + 5
        assert remote.key.startswith("s3://videos/r/a b.mp4#") and s3.secret_key not in remote.key
    assert no_threads()


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_each_kind_of_store(origin: Origin, stores: Settings, tools: Tools, out: Path, scheme: str) -> None:
    origin.put("/videos/a", Page(BODY, etag='"v1"', rate=40 * MIB))
    with ranges.open(f"{scheme}://videos/a", stores, tools) as remote:
        remote.fetch(PARTS, out)
        assert right(out, PARTS, BODY) and remote.fetched == origin.sent == PROBE + 17 * MIB + 5
    first, *later = origin.seen()
    assert first.headers["range"] == "bytes=0-65535" and {seen.headers["if-match"] for seen in later} == {'"v1"'}
    assert 1 < origin.busiest <= 4 and no_threads()


def test_what_cannot_be_read_in_parts(s3: S3, settings: Settings, tools: Tools, tmp_path: Path) -> None:
    for key, body in (("empty", b""), ("small", b"x" * 1000)):
        s3.client.put_object(Bucket="videos", Key=key, Body=body)
        with pytest.raises(Refused):
            ranges.open(f"s3://videos/{key}", settings, tools)
    s3.client.put_object(Bucket="videos", Key="big", Body=BODY)
    with pytest.raises(TooBig):
        ranges.open(
            "s3://videos/big", settings_of(tmp_path, {"storage s3": s3.section()}, max_source_bytes="1M"), tools
        )


def test_failures_are_those_of_fetch(s3: S3, settings: Settings, tools: Tools, tmp_path: Path) -> None:
    s3.client.put_object(Bucket="videos", Key="there", Body=b"x")
    for address in ("s3://videos/nothing.mp4", "s3://missing/a.mp4"):
        with pytest.raises(NotFound):
            ranges.open(address, settings, tools)
    for address in ("s3://other/a", "gs://videos/a", "s3://videos//a"):
        with pytest.raises(ForbiddenSource):
            ranges.open(address, settings, tools)
    wrong = settings_of(tmp_path, {"storage s3": s3.section(secret_key="wr0ng-s3cret")})
    with pytest.raises(Denied) as error:
        ranges.open("s3://videos/there", wrong, tools)
    assert "wr0ng" not in str(error.value) and s3.access_key not in str(error.value)


def test_what_is_wrong_with_a_store_the_whole_fetch_says(origin: Origin, stores: Settings, tools: Tools) -> None:
    for page in (Page(status=503), Page(b"sorry", status=416), Page(BODY, ranges=False), Page(BODY, shift=1)):
        origin.put("/videos/a", page)
        with pytest.raises(Refused, match="no range"):
            ranges.open("s3://videos/a", stores, tools)


def test_a_changed_object(s3: S3, settings: Settings, tools: Tools, out: Path) -> None:
    bodies = [BODY, b"\1" + os.urandom(len(BODY) - 1)]
    s3.client.put_object(Bucket="videos", Key="changes", Body=bodies[0])
    tries: list[Remote] = []

    def work(remote: Remote) -> None:
        tries.append(remote)
        if len(tries) == 1:
            s3.client.put_object(Bucket="videos", Key="changes", Body=bodies[1])
            with pytest.raises(Changed):
                remote.read(5 * MIB, 10)
        remote.fetch(PARTS, out)

    consistently("s3://videos/changes", settings, tools, work)
    assert len(tries) == 2 and right(out, PARTS, bodies[1]) and no_threads()


@pytest.mark.parametrize("more", [{"cut_after": 700_000}, {"cut_after": 300_000, "reset": True}])
def test_a_cut_transfer_goes_on(
    origin: Origin, stores: Settings, tools: Tools, out: Path, more: dict[str, object]
) -> None:
    whole, cut = Page(BODY, etag='"v1"'), Page(BODY, etag='"v1"', **more)
    origin.put("/videos/a", whole, cut, cut, whole)
    with ranges.open("s3://videos/a", stores, tools) as remote:
        remote.fetch(PARTS, out)
    assert right(out, PARTS, BODY)


@pytest.mark.parametrize("lie", [{"shift": 1}, {"shift": -1}, {"headers": {"Content-Range": ""}}, {"ranges": False}])
def test_what_lies_is_not_believed(origin: Origin, stores: Settings, tools: Tools, lie: dict[str, object]) -> None:
    origin.put("/videos/a", Page(BODY, etag='"v1"'), Page(BODY, etag='"v1"', **lie))
    with ranges.open("s3://videos/a", stores, tools) as remote, pytest.raises((Refused, FetchFailed)):
        remote.read(MIB, MIB)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("how", ["mute", "stalls", "trickles"])
def test_a_transfer_ends_soon(
    origin: Origin,
    stores: Settings,
    tools: Tools,
    tmp_path: Path,
    out: Path,
    how: str,
    end: type[Exception],
    capfd: pytest.CaptureFixture[str],
) -> None:
    if (how, end) == ("trickles", Stalled):
        pytest.skip("slow is no stall")
    more = {"stall_after": 70_000} if how == "stalls" else {"rate": 2000}
    origin.put("/videos/a", Page(BODY, etag='"v1"'), Page(BODY, etag='"v1"', **more))
    ends = ending(tools, end, lambda: how == "mute" or len(origin.seen()) > 1)
    if how == "mute":
        with closing(Mute()) as server, ends, pytest.raises(end):
            section = {"access_key": "x", "secret_key": "x", "allow_http": "yes"}
            endpoint = f"http://{server.url[:-2]}"
            mute = settings_of(tmp_path, {"storage s3": {**section, "endpoint": endpoint}})
            ranges.open("s3://videos/a", mute, tools)
        return
    with ranges.open("s3://videos/a", stores, tools) as remote, ends, pytest.raises(end):
        remote.fetch(PARTS, out)
    assert no_threads() and not capfd.readouterr().err
