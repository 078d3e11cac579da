"""Object stores: a real S3 protocol with signatures that are checked, both ways."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.origin import Origin, Page
from tests.transfer_fixtures import RESULT, S3, ArgvWatch, settings_of
from videod.config import Settings
from videod.errors import (
    Cancelled,
    Denied,
    FetchFailed,
    ForbiddenSource,
    NotFound,
    TimedOut,
    TooBig,
    UploadDenied,
    UploadFailed,
)
from videod.process import Tools
from videod.transfer.fetch import Fetched, fetch
from videod.transfer.upload import Target, check, holds, send, target

DIGEST = hashlib.sha256(RESULT).hexdigest()


def place(template: str) -> Target:
    return target(template, id="job:1", n=1, name="clip", ext="mp4")


@pytest.fixture
def settings(tmp_path: Path, s3: S3) -> Settings:
    return settings_of(tmp_path, {"storage s3": s3.section()})


def large(result: Path, megabytes: int = 20) -> str:
    data = os.urandom(megabytes << 20)
    result.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("megabytes", [0, 3, 8, 20])
def test_up_and_down_again(s3: S3, result: Path, settings: Settings, tools: Tools, megabytes: int) -> None:
    digest = large(result, megabytes)
    where = place("s3://videos/up/ü {name} {id}.{ext}")
    seen: list[float] = []
    check(where, settings)
    sent = send(result, where, settings, tools, on_progress=seen.append)
    assert sent.url == "s3://videos/up/ü clip job:1.mp4" and (sent.bytes, sent.sha256) == (megabytes << 20, digest)
    assert hashlib.sha256(s3.content("up/ü clip job:1.mp4")).hexdigest() == digest
    assert s3.client.head_object(Bucket="videos", Key="up/ü clip job:1.mp4")["ContentType"] == "video/mp4"
    assert seen == sorted(seen) and seen[-1] == 1.0 and not [part for part in seen[:-1] if part == 1.0]
    got = fetch(sent.url, tools.scratch, settings, tools)
    assert hashlib.sha256(got.path.read_bytes()).hexdigest() == digest
    assert (got.bytes, got.fetched_bytes, got.name) == (megabytes << 20, megabytes << 20, "ü_clip_job_1")


def test_other_content_is_replaced(s3: S3, result: Path, settings: Settings, tools: Tools) -> None:
    s3.client.put_object(Bucket="videos", Key="replaced.mp4", Body=b"old")
    send(result, place("s3://videos/replaced.mp4"), settings, tools)
    assert s3.content("replaced.mp4") == RESULT


@pytest.mark.parametrize("megabytes", [3, 70])
def test_overwrite_false(s3: S3, result: Path, settings: Settings, tools: Tools, megabytes: int) -> None:
    digest = large(result, megabytes)
    where, size = place(f"s3://videos/once-{megabytes}.mp4"), megabytes << 20
    for there in (False, True):
        assert holds(where, {digest: size}, settings, tools) == there
        assert send(result, where, settings, tools, overwrite=False).sha256 == digest
    assert not holds(where, {digest[::-1]: size}, settings, tools)
    changed = s3.client.head_object(Bucket="videos", Key=f"once-{megabytes}.mp4")["LastModified"]
    result.write_bytes(os.urandom(megabytes << 20))
    with pytest.raises(UploadDenied, match="other content"):
        send(result, where, settings, tools, overwrite=False)
    assert s3.client.head_object(Bucket="videos", Key=f"once-{megabytes}.mp4")["LastModified"] == changed


def test_content_that_others_put_there_is_read(s3: S3, result: Path, settings: Settings, tools: Tools) -> None:
    s3.client.put_object(Bucket="videos", Key="theirs.mp4", Body=RESULT)
    assert send(result, place("s3://videos/theirs.mp4"), settings, tools, overwrite=False).sha256 == DIGEST
    s3.client.put_object(Bucket="videos", Key="theirs.mp4", Body=os.urandom(len(RESULT)))
    with pytest.raises(UploadDenied, match="other content"):
        send(result, place("s3://videos/theirs.mp4"), settings, tools, overwrite=False)


def test_taken_between_the_look_and_the_put(
    s3: S3, result: Path, settings: Settings, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore

    real = obstore.put

    def late(*what: object, **kw: object) -> object:
        s3.client.put_object(Bucket="videos", Key="late.mp4", Body=b"other")
        return real(*what, **kw)

    monkeypatch.setattr(obstore, "put", late)
    with pytest.raises(UploadDenied, match="other content"):
        send(result, place("s3://videos/late.mp4"), settings, tools, overwrite=False)
    assert s3.content("late.mp4") == b"other"


def test_what_is_not_allowed(s3: S3, result: Path, tmp_path: Path, tools: Tools) -> None:
    one = settings_of(tmp_path, {"storage s3": s3.section(buckets="videos team-*")})
    check(place("s3://team-7/a"), one)
    none = settings_of(tmp_path)
    for settings, address in (
        (none, "s3://videos/a"),
        (one, "gs://videos/a"),
        (one, "s3://other/a"),
        (one, "s3://videosx/a"),
        (one, "s3://videos//a"),
        (one, "s3:videos/a"),
        (one, "s3://v ideos/a"),
        (one, "s3://videos@other/a"),
        (one, "s3:///a"),
        (one, "s3://videos/" + "x" * 1100),
    ):
        with pytest.raises(UploadDenied):
            check(place(address), settings)
        with pytest.raises(UploadDenied):
            send(result, place(address), settings, tools)
        with pytest.raises(ForbiddenSource):
            fetch(address, tools.scratch, settings, tools)


def test_a_wrong_secret(s3: S3, result: Path, tmp_path: Path, tools: Tools, settings: Settings) -> None:
    send(result, place("s3://videos/there.mp4"), settings, tools)
    wrong = settings_of(tmp_path, {"storage s3": s3.section(secret_key="wr0ng-s3cret")})
    with pytest.raises(UploadDenied) as upload:
        send(result, place("s3://videos/a.mp4"), wrong, tools)
    with pytest.raises(Denied) as download:
        fetch("s3://videos/there.mp4", tools.scratch, wrong, tools)
    for error in (upload.value, download.value):
        assert "wr0ng" not in str(error) and "\n" not in str(error) and s3.access_key not in str(error)


def test_what_is_missing(s3: S3, result: Path, settings: Settings, tools: Tools) -> None:
    for address in ("s3://videos/nothing.mp4", "s3://missing/a.mp4"):
        with pytest.raises(NotFound):
            fetch(address, tools.scratch, settings, tools)
    with pytest.raises(UploadDenied):
        send(result, place("s3://missing/a.mp4"), settings, tools)


def test_a_store_that_is_away_or_broken(s3: S3, result: Path, tmp_path: Path, tools: Tools, origin: Origin) -> None:
    tools.stall_timeout = 1.0
    origin.put("/videos/a.mp4", Page(status=503))
    for endpoint in ("http://127.0.0.1:1", origin.url):
        away = settings_of(tmp_path, {"storage s3": s3.section(endpoint=endpoint)})
        with pytest.raises(UploadFailed):
            send(result, place("s3://videos/a.mp4"), away, tools)
        with pytest.raises(FetchFailed):
            fetch("s3://videos/a.mp4", tools.scratch, away, tools)
    clear = settings_of(tmp_path, {"storage s3": s3.section(allow_http="no")})
    with pytest.raises((UploadFailed, UploadDenied)):
        send(result, place("s3://videos/a.mp4"), clear, tools)


def test_something_else_there_afterwards_is_no_success(
    s3: S3, result: Path, settings: Settings, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore

    real = obstore.put

    def raced(store: object, key: str, data: bytes, **kw: object) -> object:
        made = real(store, key, data, **kw)
        s3.client.put_object(Bucket="videos", Key=key, Body=os.urandom(len(data)))
        return made

    monkeypatch.setattr(obstore, "put", raced)
    with pytest.raises(UploadFailed, match="something else"):
        send(result, place("s3://videos/damaged.mp4"), settings, tools)


def test_cancelled_in_the_middle(s3: S3, result: Path, settings: Settings, tools: Tools) -> None:
    large(result, 40)
    with pytest.raises(Cancelled):
        send(result, place("s3://videos/cut.mp4"), settings, tools, on_progress=lambda part: tools.cancel.set())
    assert not s3.client.list_objects_v2(Bucket="videos", Prefix="cut").get("Contents")
    assert not s3.client.list_multipart_uploads(Bucket="videos").get("Uploads")
    mine = Tools(tools.guardian, type(tools.cancel)(), tools.scratch)
    send(result, place("s3://videos/whole.mp4"), settings, mine)
    with pytest.raises(TimedOut):
        fetch(
            "s3://videos/whole.mp4",
            tools.scratch,
            settings,
            mine,
            on_progress=lambda part: setattr(mine, "deadline", 0.0),
        )
    assert (tools.scratch / "source").stat().st_size < 40 << 20


def test_a_source_that_is_too_big_or_changes(
    s3: S3, result: Path, tmp_path: Path, settings: Settings, tools: Tools
) -> None:
    large(result, 20)
    send(result, place("s3://videos/big.mp4"), settings, tools)
    small = settings_of(tmp_path, {"storage s3": s3.section()}, max_source_bytes="19M")
    with pytest.raises(TooBig):
        fetch("s3://videos/big.mp4", tools.scratch, small, tools)
    received: list[int] = []

    def change(part: float) -> None:
        s3.client.put_object(Bucket="videos", Key="big.mp4", Body=os.urandom(20 << 20))

    with pytest.raises(FetchFailed, match="changed"):
        fetch("s3://videos/big.mp4", tools.scratch, settings, tools, on_progress=change, on_bytes=received.append)
    assert received == [8 << 20]


def test_no_secret_in_argv(s3: S3, result: Path, settings: Settings, tools: Tools, argv_watch: ArgvWatch) -> None:
    sent = send(result, place("s3://videos/argv.mp4"), settings, tools)
    got: Fetched = fetch(sent.url, tools.scratch, settings, tools)
    assert got.path.read_bytes() == RESULT
    assert not [line for line in argv_watch.seen if s3.secret_key in line]


def test_without_obstore(result: Path, settings: Settings, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ForbiddenSource, match=r"pip install 'videod\[s3\]'"):
        fetch("s3://videos/a.mp4", tools.scratch, settings, tools)
    with pytest.raises(UploadDenied, match=r"pip install 'videod\[s3\]'"):
        check(place("s3://videos/a.mp4"), settings)


def test_the_other_stores_open(tmp_path: Path, result: Path, tools: Tools, origin: Origin) -> None:
    """Azure and Google against a server that answers 503: it is reached, and the fault may pass."""
    tools.stall_timeout = 1.0
    account = tmp_path / "account.json"
    keys = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    account.write_text(json.dumps({"gcs_base_url": origin.url, "disable_oauth": True, **keys}))
    sections = {
        "storage gs": {"service_account": str(account), "allow_http": "yes", "endpoint": origin.url},
        "storage az": {"access_key": "name", "secret_key": "a2V5", "allow_http": "yes", "endpoint": origin.url},
    }
    settings = settings_of(tmp_path, sections)
    origin.put("/videos/a", Page(status=503))
    for address in ("gs://videos/a", "az://videos/a"):
        check(place(address), settings)
        with pytest.raises(UploadFailed):
            send(result, place(address), settings, tools)
        with pytest.raises(FetchFailed):
            fetch(address, tools.scratch, settings, tools)
    assert {seen.path.partition("?")[0] for seen in origin.seen()} == {"/videos/a"}
    broken = settings_of(tmp_path, {"storage gs": {"service_account": str(tmp_path / "none.json")}})
    with pytest.raises(UploadDenied, match=r"\[storage gs\]"):
        send(result, place("gs://videos/a.mp4"), broken, tools)
