"""Targets from templates, and uploads into folders: whole or not at all, below upload_paths, no link followed."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transfer_fixtures import RESULT as BODY
from tests.transfer_fixtures import settings_of, wait_for
from videod.config import Settings
from videod.errors import BadMessage, Cancelled, DiskFull, UploadDenied, VideodError
from videod.process import Tools
from videod.transfer.fetch import fetch
from videod.transfer.upload import Target, check, holds, send, target

DIGEST = hashlib.sha256(BODY).hexdigest()


def place(template: str, id: str = "job:1", n: int = 1, name: str = "clip", ext: str = "mp4") -> Target:
    return target(template, id=id, n=n, name=name, ext=ext)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(tmp_path: Path, base: Path) -> Settings:
    return settings_of(tmp_path, upload=f"file:{base}/")


# -- templates


@pytest.mark.parametrize(
    ("template", "url"),
    [
        ("/c/", "file:///c/job:1-1.mp4"),
        ("file:/c/", "file:///c/job:1-1.mp4"),
        ("file:///c/{name}.{ext}", "file:///c/clip.mp4"),
        ("file://localhost/c/{n}", "file:///c/1"),
        ("file:///a%20b/{n}", "file:///a%20b/1"),
        ("/c//x/{id}", "file:///c/x/job:1"),
        ("s3://b/k/", "s3://b/k/job:1-1.mp4"),
        ("S3://b/{name}", "s3://b/clip"),
        ("rclone:r:p/{n}.{ext}", "rclone:r:p/1.mp4"),
        ("https://u:p@H/{id}?sig=x{n}", "https://h/job%3A1"),
        ("http://h", "http://h/job%3A1-1.mp4"),
        ("https://h/d/?sig=x", "https://h/d/job%3A1-1.mp4"),
        ("https://h/d/{name}#f", "https://h/d/clip"),
    ],
)
def test_templates(template: str, url: str) -> None:
    made = place(template)
    assert made.url.replace("job%3A1", "job:1") == url.replace("job%3A1", "job:1")
    assert "sig" not in made.url and "sig" not in repr(made)
    assert made.key == place(template).key
    if "{n}" in template or template.endswith("/"):
        assert made.key != place(template, n=2).key


def test_one_place_has_one_key() -> None:
    assert place("file:///c/a").key == place("/c//a").key == place("file:/c/%61").key
    assert place("https://H/a").key == place("HTTPS://u:p@h/a").key != place("https://h/a?x").key


@pytest.mark.parametrize(
    "template",
    [
        "/c/{nme}.mp4",
        "/c/{}",
        "/c/{id!r}",
        "/c/{id:>9}",
        "/c/{id.x}",
        "/c/{",
        "/c/a}",
        "ftp://h/a",
        "c/a",
        "",
        "/c/\n",
        "file:a",
        "file://host/a",
        "javascript:x",
        "/c/%00",
    ],
)
def test_no_templates(template: str) -> None:
    with pytest.raises(BadMessage, match="^upload: ") as error:
        place(template)
    assert error.value.field == "upload" and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "template",
    [
        "/c/../a",
        "file:///c/%2e%2e/a",
        "/c/./a",
        "https://h/a/../b",
        "https://h/a/%2E%2e/b",
        "s3://b/../k",
        "rclone:r:/../x",
        "https://h/..?x",
        "/c/..",
    ],
)
def test_no_path_climbs(template: str) -> None:
    with pytest.raises(UploadDenied):
        place(template)


@given(
    st.text(min_size=1),
    st.text(),
    st.text(max_size=12),
    st.sampled_from(["/c/{id}/{name}.{ext}", "https://h/c/{id}/{name}.{ext}?x", "s3://b/c/{id}/{name}.{ext}"]),
)
def test_no_value_leaves_its_base(id: str, name: str, ext: str, template: str) -> None:
    try:
        made = place(template, id=id, name=name, ext=ext)
    except UploadDenied:
        assert id.strip(".") == ""
        return
    path = made.url.partition("/c/")[2]
    assert path.count("/") == 1 and not set(path) & set("?#\\\n\0 ") and "%2e" not in path.lower()
    assert ".." not in path.split("/") and "{" not in path


# -- the folder


def test_a_result_arrives_whole(result: Path, base: Path, settings: Settings, tools: Tools) -> None:
    seen: list[float] = []
    where = place(f"{base}/a/b/{{id}}.{{ext}}")
    check(where, settings)
    sent = send(result, where, settings, tools, on_progress=seen.append)
    path = base / "a/b/job:1.mp4"
    assert path.read_bytes() == BODY and (sent.bytes, sent.sha256) == (len(BODY), DIGEST)
    assert path.stat().st_mode & 0o777 == 0o644 and seen == sorted(seen) and seen[-1] == 1.0
    assert os.listdir(base / "a/b") == ["job:1.mp4"] and result.exists()
    # what an event shows can be fetched again
    got = fetch(sent.url, tools.scratch, settings_of(base, allow_paths=str(base)), tools)
    assert got.path == path


def test_the_umask_counts(result: Path, base: Path, settings: Settings, tools: Tools) -> None:
    old = os.umask(0o027)
    try:
        send(result, place(f"{base}/a.mp4"), settings, tools)
    finally:
        os.umask(old)
    assert (base / "a.mp4").stat().st_mode & 0o777 == 0o640


def test_the_folder_is_made_when_it_is_missing(result: Path, tmp_path: Path, tools: Tools) -> None:
    settings = settings_of(tmp_path, upload=f"file:{tmp_path}/new/deep/")
    send(result, place(f"{tmp_path}/new/deep/x/a.mp4"), settings, tools)
    assert (tmp_path / "new/deep/x/a.mp4").read_bytes() == BODY


def test_other_content_is_replaced_at_once(result: Path, base: Path, settings: Settings, tools: Tools) -> None:
    where, path = place(f"{base}/a.mp4"), base / "a.mp4"
    path.write_bytes(b"old")
    reader = path.open("rb")
    seen: set[int] = set()

    def look(part: float) -> None:
        seen.add(path.stat().st_size)

    send(result, where, settings, tools, on_progress=look)
    assert seen == {3, len(BODY)} and path.read_bytes() == BODY
    assert reader.read() == b"old"  # who had it open keeps the old one
    reader.close()


def test_overwrite_false(result: Path, base: Path, settings: Settings, tools: Tools) -> None:
    where, path = place(f"{base}/a.mp4"), base / "a.mp4"
    assert not holds(where, {DIGEST: len(BODY)}, settings, tools)
    send(result, where, settings, tools, overwrite=False)
    assert holds(where, {DIGEST[::-1]: len(BODY), DIGEST: len(BODY)}, settings, tools)
    assert not holds(where, {DIGEST[::-1]: len(BODY), DIGEST: 1}, settings, tools)
    assert not holds(place(f"{base}/none/a.mp4"), {DIGEST: len(BODY)}, settings, tools)
    before = path.stat()
    again = send(result, where, settings, tools, overwrite=False)
    assert again.sha256 == DIGEST and path.stat().st_ino == before.st_ino
    for other in (b"other", os.urandom(len(BODY))):
        path.write_bytes(other)
        with pytest.raises(UploadDenied, match="other content"):
            send(result, where, settings, tools, overwrite=False)
        assert path.read_bytes() == other
    assert os.listdir(base) == ["a.mp4"]


def test_of_many_writers_one_wins(tmp_path: Path, base: Path, settings: Settings, tools: Tools) -> None:
    outcomes: list[str] = []

    def write(n: int) -> None:
        path = tmp_path / f"r{n}"
        path.write_bytes(bytes([n]) * 1_000_000)
        mine = Tools(tools.guardian, tools.cancel, tools.scratch)
        try:
            outcomes.append(send(path, place(f"{base}/a.mp4"), settings, mine, overwrite=False).sha256)
        except UploadDenied:
            outcomes.append("denied")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert outcomes.count("denied") == 7
    assert hashlib.sha256((base / "a.mp4").read_bytes()).hexdigest() in outcomes


@pytest.mark.parametrize("missing", ["O_TMPFILE", "link", "both"])
def test_file_systems_that_cannot(
    missing: str, result: Path, base: Path, settings: Settings, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS has no nameless files, exFAT no links."""
    real_open, real_link = os.open, os.link

    def without_nameless(path: str, flags: int, *more: object, **kw: object) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real_open(path, flags, *more, **kw)

    def without_links(*what: object, **kw: object) -> None:
        raise OSError(errno.EPERM, "not permitted")

    if missing != "link":
        monkeypatch.setattr(os, "open", without_nameless)
    if missing != "O_TMPFILE":
        monkeypatch.setattr(os, "link", without_links)
    if missing == "link":  # no such file system is known: it is an honest error at least
        with pytest.raises(VideodError):
            send(result, place(f"{base}/a.mp4"), settings, tools)
        assert os.listdir(base) == []
        return
    for overwrite in (True, False, False):
        sent = send(result, place(f"{base}/a.mp4"), settings, tools, overwrite=overwrite)
        assert sent.sha256 == DIGEST and os.listdir(base) == ["a.mp4"]
    (base / "a.mp4").write_bytes(b"other")
    with pytest.raises(UploadDenied):
        send(result, place(f"{base}/a.mp4"), settings, tools, overwrite=False)
    assert (base / "a.mp4").read_bytes() == b"other" and os.listdir(base) == ["a.mp4"]
    assert real_link is not None


def test_nothing_outside_is_touched(result: Path, tmp_path: Path, base: Path, settings: Settings, tools: Tools) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (base / "link").symlink_to(outside)
    (base / "abs").symlink_to("/")
    for template in (
        f"{outside}/a.mp4",
        f"{base}/link/a.mp4",
        f"{base}/link/new/a.mp4",
        f"{base}/abs/{outside}/a.mp4",
        f"{base}x/a.mp4",
        f"{base}",
    ):
        with pytest.raises(UploadDenied):
            check(place(template), settings)
        with pytest.raises(UploadDenied):
            send(result, place(template), settings, tools)
    assert not list(outside.iterdir()) and not (tmp_path / "clipsx").exists()


def test_links_within_are_fine_and_a_link_at_the_name_is_replaced(
    result: Path, tmp_path: Path, base: Path, settings: Settings, tools: Tools
) -> None:
    (base / "real").mkdir()
    (base / "link").symlink_to(base / "real")
    send(result, place(f"{base}/link/a.mp4"), settings, tools)
    assert (base / "real/a.mp4").read_bytes() == BODY
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    for overwrite in (False, True):
        (base / "b.mp4").unlink(missing_ok=True)
        (base / "b.mp4").symlink_to(victim)
        if overwrite:
            send(result, place(f"{base}/b.mp4"), settings, tools)
            assert not (base / "b.mp4").is_symlink()
        else:
            with pytest.raises(UploadDenied):
                send(result, place(f"{base}/b.mp4"), settings, tools, overwrite=False)
        assert victim.read_bytes() == b"mine"


def test_a_folder_swapped_for_a_link_after_the_check(
    result: Path, tmp_path: Path, base: Path, settings: Settings, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (base / "sub").mkdir()
    real = os.open

    def swap(path: object, *what: Any, **kw: Any) -> int:  # runs between the check of the path and the walk
        if path == "sub":
            (base / "sub").rmdir()
            (base / "sub").symlink_to(outside)
        return real(path, *what, **kw)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(UploadDenied):
        send(result, place(f"{base}/sub/a.mp4"), settings, tools)
    assert not list(outside.iterdir())


def test_a_folder_under_the_name(result: Path, base: Path, settings: Settings, tools: Tools) -> None:
    (base / "a.mp4").mkdir()
    (base / "file").write_bytes(b"")
    for template in (f"{base}/a.mp4", f"{base}/file/b.mp4", f"{base}/{'x' * 300}"):
        for overwrite in (True, False):
            with pytest.raises(UploadDenied):
                send(result, place(template), settings, tools, overwrite=overwrite)
    assert sorted(os.listdir(base)) == ["a.mp4", "file"]


def test_cancelled_in_the_middle(result: Path, base: Path, settings: Settings, tools: Tools) -> None:
    with pytest.raises(Cancelled):
        send(result, place(f"{base}/a.mp4"), settings, tools, on_progress=lambda part: tools.cancel.set())
    assert os.listdir(base) == []


def test_a_full_disk(result: Path, tiny_disk: Path, tmp_path: Path, tools: Tools) -> None:
    (tiny_disk / "a.mp4").write_bytes(b"old")
    with pytest.raises(DiskFull):
        send(result, place(f"{tiny_disk}/a.mp4"), settings_of(tmp_path, upload=f"file:{tiny_disk}/"), tools)
    assert os.listdir(tiny_disk) == ["a.mp4"] and (tiny_disk / "a.mp4").read_bytes() == b"old"


def test_killed_in_the_middle_leaves_no_file_under_the_name(result: Path, base: Path, tmp_path: Path) -> None:
    script = f"""
import sys, time
from pathlib import Path
from videod.cancel import Cancel
from videod.process import Guardian, Tools
from videod.transfer.upload import send, target
from tests.transfer_fixtures import settings_of
base = Path({str(base)!r})
settings = settings_of(base.parent, upload=f"file:{{base}}/")
tools = Tools(Guardian("killed-upload"), Cancel(), base.parent)
place = target(f"{{base}}/a.mp4", id="1", n=1, name="x", ext="mp4")
def wait(part):
    print("half", flush=True)
    time.sleep(60)
send(Path({str(result)!r}), place, settings, tools, on_progress=wait)
"""
    root = Path(__file__).parent.parent
    env = dict(os.environ, PYTHONPATH=str(root))
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root, env=env)
    assert child.stdout and child.stdout.readline() == b"half\n"
    child.kill()
    child.wait()
    child.stdout.close()
    wait_for(lambda: os.listdir(base) == [] or all(name.startswith(".") for name in os.listdir(base)))
    assert not (base / "a.mp4").exists()


@pytest.mark.parametrize(("fsync", "expected"), [("", True), ("yes", True), ("no", False)])
def test_fsync_by_default(
    fsync: str, expected: bool, result: Path, base: Path, tmp_path: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), real(fd)))
    settings = settings_of(tmp_path, upload=f"file:{base}/", **({"fsync": fsync} if fsync else {}))
    send(result, place(f"{base}/sub/a.mp4"), settings, tools)
    assert bool(synced) is expected
    if expected:  # the new folder's own entry, the file, the file's entry
        assert synced[0] == str(base) and synced[-1] == str(base / "sub") and len(synced) == 3
