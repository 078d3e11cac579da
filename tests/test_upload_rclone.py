"""Uploads through rclone, to a folder that it takes for a remote, plain and encrypted, and to an S3 server."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.origin import Origin, Page
from tests.transfer_fixtures import RESULT, S3, ArgvWatch, settings_of, small
from videod.config import Settings
from videod.errors import Cancelled, DiskFull, Stalled, UploadDenied, UploadFailed
from videod.limits import Limits
from videod.process import Tools
from videod.transfer.upload import Target, check, holds, send, target

DIGEST = hashlib.sha256(RESULT).hexdigest()


def place(template: str) -> Target:
    return target(template, id="job:1", n=1, name="clip", ext="mp4")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def config(tmp_path: Path, store: Path) -> Path:
    # by stdin: other tests of this run look at all command lines
    secret = subprocess.run(
        ["rclone", "obscure", "-"], input="s3cret", check=True, capture_output=True, text=True
    ).stdout
    file = tmp_path / "rclone.conf"
    file.write_text(f"""
[disk]
type = alias
remote = {store}
[crypted]
type = crypt
remote = {store}/crypted
password = {secret}
[private]
type = alias
remote = {tmp_path}
""")
    return file


@pytest.fixture
def settings(tmp_path: Path, config: Path) -> Settings:
    return settings_of(tmp_path, {"storage rclone": {"config": str(config), "buckets": "disk crypted s3* gone"}})


@pytest.mark.parametrize("limits", [Limits(), Limits(memory=4 << 30)])
def test_it_arrives_and_is_confirmed(
    result: Path, store: Path, settings: Settings, tools: Tools, argv_watch: ArgvWatch, limits: Limits
) -> None:
    tools.limits = limits
    seen: list[float] = []
    where = place("rclone:disk:a b/ü/")
    check(where, settings)
    sent = send(result, where, settings, tools, on_progress=seen.append)
    assert (store / "a b/ü/job:1-1.mp4").read_bytes() == RESULT
    assert (sent.url, sent.bytes, sent.sha256) == ("rclone:disk:a b/ü/job:1-1.mp4", len(RESULT), DIGEST)
    assert seen == sorted(seen) and seen[-1] == 1.0
    assert os.listdir(store / "a b/ü") == ["job:1-1.mp4"] and result.exists()
    assert argv_watch.of("rclone") and not [line for line in argv_watch.seen if "s3cret" in line]
    result.write_bytes(b"new")
    send(result, place("rclone:disk:a b/ü/"), settings, tools)
    assert (store / "a b/ü/job:1-1.mp4").read_bytes() == b"new"


def test_at_the_top_of_a_remote(result: Path, store: Path, settings: Settings, tools: Tools) -> None:
    send(result, place("rclone:disk:{id}.{ext}"), settings, tools)
    assert os.listdir(store) == ["job:1.mp4"]


@pytest.mark.parametrize("remote", ["disk", "crypted"])
def test_overwrite(result: Path, settings: Settings, tools: Tools, remote: str) -> None:
    """The encrypted remote keeps no checksums: what lies there is read back."""
    where = place(f"rclone:{remote}:once.mp4")
    for there in (False, True):
        assert holds(where, {DIGEST: len(RESULT)}, settings, tools) == there
        assert send(result, where, settings, tools, overwrite=False).sha256 == DIGEST
    assert not holds(where, {DIGEST[::-1]: len(RESULT)}, settings, tools)
    status = result.stat()
    for size in (len(RESULT), 10):
        # size and time are those of the old one: only the content tells
        result.write_bytes(os.urandom(size))
        os.utime(result, ns=(status.st_atime_ns, status.st_mtime_ns))
        with pytest.raises(UploadDenied, match="other content"):
            send(result, where, settings, tools, overwrite=False)
    result.write_bytes(os.urandom(len(RESULT)))
    os.utime(result, ns=(status.st_atime_ns, status.st_mtime_ns))
    digest = hashlib.sha256(result.read_bytes()).hexdigest()
    assert send(result, where, settings, tools).sha256 == digest
    assert send(result, where, settings, tools, overwrite=False).sha256 == digest


def test_taken_meanwhile(result: Path, store: Path, settings: Settings, tools: Tools) -> None:
    def take(part: float) -> None:
        (store / "a.mp4").write_bytes(b"other")

    with pytest.raises(UploadDenied, match="other content"):
        send(result, place("rclone:disk:a.mp4"), settings, tools, overwrite=False, on_progress=take)
    assert (store / "a.mp4").read_bytes() == b"other" and os.listdir(store) == ["a.mp4"]


@pytest.mark.parametrize(
    "address",
    [
        "rclone:private:a",
        "rclone::local:/tmp/a",
        "rclone:disk,remote=/tmp:a",
        "rclone:disk",
        "rclone:disk:",
        "rclone:/tmp/a",
        "rclone:-x:a",
        "rclone:--config=/x:a",
        "rclone://disk/a",
    ],
)
def test_what_is_not_allowed(result: Path, tmp_path: Path, settings: Settings, tools: Tools, address: str) -> None:
    for call in (lambda: check(place(address), settings), lambda: send(result, place(address), settings, tools)):
        with pytest.raises(UploadDenied):
            call()
    for other in (
        settings_of(tmp_path),
        settings_of(tmp_path, {"storage rclone": {"config": "/nonexistent/rclone.conf"}}),
    ):
        with pytest.raises(UploadDenied, match="rclone"):
            check(place("rclone:disk:a"), other)


def test_what_the_remote_refuses(result: Path, store: Path, settings: Settings, tools: Tools) -> None:
    with pytest.raises(UploadDenied, match="section"):
        send(result, place("rclone:gone:a.mp4"), settings, tools)
    (store / "a.mp4").mkdir()
    with pytest.raises(UploadDenied, match="folder"):
        send(result, place("rclone:disk:a.mp4"), settings, tools)
    (store / "file").write_bytes(b"")
    with pytest.raises((UploadDenied, UploadFailed)) as error:
        send(result, place("rclone:disk:file/b.mp4"), settings, tools)
    assert "\n" not in str(error.value)


def test_cancelled(result: Path, store: Path, settings: Settings, tools: Tools) -> None:
    with pytest.raises(Cancelled):
        send(result, place("rclone:disk:a.mp4"), settings, tools, on_progress=lambda part: tools.cancel.set())
    assert not (store / "a.mp4").exists()


def test_a_full_disk(result: Path, store: Path, settings: Settings, tools: Tools) -> None:
    with small(store / "disk", "1m") as disk:
        with pytest.raises(DiskFull):
            send(result, place("rclone:disk:disk/a.mp4"), settings, tools)
        assert os.listdir(disk) == []


def s3_remote(config: Path, endpoint: str, access_key: str, secret_key: str) -> None:
    with config.open("a") as file:
        file.write(f"[s3]\ntype = s3\nprovider = Minio\nendpoint = {endpoint}\nregion = us-east-1\n")
        file.write(f"access_key_id = {access_key}\nsecret_access_key = {secret_key}\nforce_path_style = true\n")


def test_to_a_remote_that_cannot_rename(s3: S3, config: Path, result: Path, settings: Settings, tools: Tools) -> None:
    s3_remote(config, s3.endpoint, s3.access_key, s3.secret_key)
    where = place("rclone:s3:videos/by-rclone/{id}.mp4")
    for overwrite in (True, False):
        assert send(result, where, settings, tools, overwrite=overwrite).sha256 == DIGEST
    assert s3.content("by-rclone/job:1.mp4") == RESULT
    result.write_bytes(os.urandom(len(RESULT)))
    with pytest.raises(UploadDenied, match="other content"):
        send(result, where, settings, tools, overwrite=False)
    assert s3.content("by-rclone/job:1.mp4") == RESULT


def test_a_wrong_secret(s3: S3, config: Path, result: Path, settings: Settings, tools: Tools) -> None:
    s3_remote(config, s3.endpoint, s3.access_key, "wr0ng-s3cret")
    with pytest.raises(UploadDenied) as error:
        send(result, place("rclone:s3:videos/wrong.mp4"), settings, tools)
    assert "wr0ng" not in f"{error.value} {error.value.detail}" and "\n" not in str(error.value)


def test_a_remote_that_fails_or_stalls(
    config: Path, result: Path, settings: Settings, tools: Tools, origin: Origin
) -> None:
    s3_remote(config, origin.url, "key", "secret")
    with pytest.raises(UploadFailed):
        origin.put("/videos/a.mp4", Page(status=503))
        send(result, place("rclone:s3:videos/a.mp4"), settings, tools)
    origin.put("/videos/b.mp4", Page(status=404), Page(b"x", stall_after=0))
    tools.stall_timeout = 1.5
    with pytest.raises((Stalled, UploadFailed)):
        send(result, place("rclone:s3:videos/b.mp4"), settings, tools)
