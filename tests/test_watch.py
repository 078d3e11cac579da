"""`videod watch`: each file once, when it is whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon, until
from tests.media_fixtures import Studio
from videod.sources.folder import Folder, put_away, written

pytest.importorskip("watchdog")


class Watch:
    """`videod watch` in the foreground."""

    def __init__(self, daemon: Daemon, folder: Path, *argv: str) -> None:
        command = [daemon.python, "-m", "videod", "-c", str(daemon.ini), "watch", "-e", daemon.env, str(folder), *argv]
        self.said = folder.with_name("said")
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(command, stderr=said, stdout=said)

    def ready(self) -> Watch:
        until(lambda: "watching" in self.said.read_text() or self.process.poll() is not None, 20, "it watches")
        assert self.process.poll() is None, self.said.read_text()
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def folder(daemon: Daemon) -> Path:
    made = daemon.folder / "in"
    made.mkdir()
    daemon.write(allow_paths=daemon.folder, max_worker=2)
    return made


@pytest.fixture
def started(daemon: Daemon, folder: Path) -> Iterator[Watch]:
    daemon.start()
    watch = Watch(daemon, folder).ready()
    yield watch
    if watch.process.poll() is None:
        assert watch.stop() == 0


@pytest.fixture
def video(studio: Studio) -> Path:
    return studio.film("silent").path


def ended(r, number: int) -> dict[str, str]:
    """State of each job by its address, when so many have ended."""

    def look() -> dict[str, str]:
        found = {}
        for key in r.scan_iter("videod:job:*"):
            state, message = r.hmget(key, "state", "message")
            if state in {"done", "dead", "cancelled"}:
                found[json.loads(message)["url"]] = state
        return found if len(found) >= number else {}

    return until(look, 60, f"{number} jobs ended")


def takes(r) -> int:
    return len([1 for _, entry in r.xrange("videod:events") if entry["event"] == "started"])


def test_each_way_a_file_may_come(daemon: Daemon, r, folder: Path, video: Path) -> None:
    shutil.copy(video, folder / "before.mp4")
    daemon.start()
    watch = Watch(daemon, folder).ready()
    for name in (".hidden.mp4", "a.part", "b.TMP", "empty.mp4"):
        shutil.copy(video, folder / name) if name != "empty.mp4" else (folder / name).touch()
    (folder / ".dir").mkdir()
    shutil.copy(video, folder / ".dir" / "x.mp4")
    os.mkfifo(folder / "pipe.mp4")
    os.symlink(video, folder / "link.mp4")
    shutil.copy(video, folder / "copied.mp4")
    outside = daemon.folder / "outside.mp4"
    shutil.copy(video, outside)
    outside.rename(folder / "moved in.mp4")
    (folder / "a.part").rename(folder / "renamed.mp4")
    (folder / "sub/sub").mkdir(parents=True)
    shutil.copy(video, folder / "sub/sub/deep.mp4")
    odd = os.fsencode(folder) + b"/\xff ;$(touch PWNED)\n%41.mp4"
    shutil.copy(video, odd)
    found = ended(r, 6)
    assert set(found.values()) == {"done"} and len(found) == 6, found
    assert {address.rpartition("/")[2] for address in found} == {
        "before.mp4", "copied.mp4", "moved%20in.mp4", "renamed.mp4", "deep.mp4",
        "%FF%20%3B%24%28touch%20PWNED%29%0A%2541.mp4",
    }  # fmt: skip
    assert len(list(daemon.clips.iterdir())) == 6 and any(p.name.startswith("copied-") for p in daemon.clips.iterdir())
    assert watch.stop() == 0
    # a restart repeats nothing, nor does a rename; other content is another file
    watch = Watch(daemon, folder).ready()
    (folder / "before.mp4").rename(folder / "after.mp4")
    with (folder / "copied.mp4").open("ab") as file:
        file.write(b"\0\0\0\x08free")
    until(lambda: takes(r) == 7, 60, "one more")
    assert watch.stop(signal.SIGINT) == 0
    until(lambda: r.llen(f"videod:running:{daemon.node}") == 0, 30, "all ended")
    assert takes(r) == 7
    assert not list(daemon.folder.rglob("PWNED"))


def test_a_file_that_is_being_written_is_left_alone(started: Watch, r, folder: Path, video: Path) -> None:
    data = video.read_bytes()
    with (folder / "slow.mp4").open("wb") as file:
        for at in range(0, len(data), len(data) // 4):
            file.write(data[at : at + len(data) // 4])
            file.flush()
            assert written(folder / "slow.mp4") is True
            # long enough for a look at it
            threading.Event().wait(1.2)
            assert not r.keys("videod:job:*") and not r.llen("video_info_queue")
    assert list(ended(r, 1).values()) == ["done"]


@pytest.fixture
def mounted(folder: Path) -> Iterator[Path]:
    """What `folder` shows through FUSE: as on NFS the kernel tells nothing of who writes on the other side."""
    there = folder.with_name("there")
    there.mkdir()
    if subprocess.run(["bindfs", str(there), str(folder)], capture_output=True).returncode:
        pytest.skip("no mount by FUSE here")
    yield there
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_where_nobody_tells_a_file_is_whole_when_it_stays_the_same(
    daemon: Daemon, r, folder: Path, mounted: Path, video: Path
) -> None:
    body, watch = video.read_bytes(), None
    step = len(body) // 4 + 1
    daemon.start()
    with (mounted / "slow.mp4").open("wb") as slow:
        for begin in range(0, len(body), step):
            slow.write(body[begin : begin + step])
            slow.flush()
            watch = watch or Watch(daemon, folder).ready()
            time.sleep(2.5)  # slower than files are taken that nobody writes
            assert not r.xlen("videod:events"), "taken before it was whole"
    assert ended(r, 1) == {f"file://{folder}/slow.mp4": "done"} and takes(r) == 1
    assert watch.stop() == 0


def test_done_and_failed(daemon: Daemon, r, folder: Path, video: Path) -> None:
    daemon.sections = "[watch]\ndone_dir = done\nfailed_dir = ../failed\n"
    daemon.start()
    watch = Watch(daemon, folder, "--into", "classic").ready()
    (folder / "sub").mkdir()
    shutil.copy(video, folder / "sub/good.mp4")
    (folder / "bad.mp4").write_text("no video")
    reason = daemon.folder / "failed/bad.mp4.reason.txt"
    until(lambda: (folder / "done/sub/good.mp4").exists() and reason.exists(), 60, "both are put away")
    assert "to try again: move bad.mp4 back into" in reason.read_text()
    assert "not_video" in reason.read_text() and (daemon.folder / "failed/bad.mp4").exists()
    # who puts it back wants it done again
    shutil.copy(video, daemon.folder / "failed/bad.mp4")
    (daemon.folder / "failed/bad.mp4").rename(folder / "bad.mp4")
    until(lambda: (folder / "done/bad.mp4").exists(), 60, "it is done")
    shutil.copy(video, folder / "bad.mp4")
    until(lambda: (folder / "done/bad-2.mp4").exists(), 60, "two of one name")
    assert watch.stop() == 0
    assert "ended done: file:" in watch.said.read_text()
    assert json.loads(r.hget(next(r.scan_iter("videod:job:good-*")), "message"))["preset"] == "classic"


def test_renamed_before_its_turn_came(started: Watch, daemon: Daemon, r, folder: Path, video: Path) -> None:
    assert daemon.command("pause").returncode == 0
    shutil.copy(video, folder / "a.mp4")
    until(lambda: r.llen(f"video_info_queue@{daemon.node}") == 1, 20, "it is queued")
    (folder / "a.mp4").rename(folder / "b.mp4")
    assert daemon.command("resume").returncode == 0
    found = ended(r, 2)
    assert {address.rpartition("/")[2]: state for address, state in found.items()} == {"a.mp4": "dead", "b.mp4": "done"}


def test_kill_9_repeats_nothing(daemon: Daemon, r, folder: Path, video: Path) -> None:
    daemon.start()
    for n in range(8):
        shutil.copy(video, folder / f"{n}.mp4")
    watch = Watch(daemon, folder).ready()
    until(lambda: "queued" in watch.said.read_text(), 20, "some are queued")
    watch.process.kill()
    watch.process.wait()
    watch = Watch(daemon, folder).ready()
    assert len(ended(r, 8)) == 8
    assert takes(r) == 8
    assert watch.stop() == 0


def test_redis_away(daemon: Daemon, r, redis_server, folder: Path, video: Path) -> None:
    daemon.start()
    watch = Watch(daemon, folder).ready()
    redis_server.kill()
    shutil.copy(video, folder / "a.mp4")
    until(lambda: "queued when it is back" in watch.said.read_text(), 20, "it says so")
    redis_server.start()
    assert list(ended(r, 1).values()) == ["done"]
    assert watch.stop() == 0 and "Redis is back" in watch.said.read_text()


def test_wrong_folders(daemon: Daemon, r, folder: Path, tmp_path: Path) -> None:
    daemon.start(allow_paths=folder)
    for argv, code, word in (
        ([str(daemon.folder)], 6, "allow_paths"),
        ([str(folder / "none")], 1, "no such folder"),
        ([str(folder), "--into", "nosuch"], 2, "preset"),
    ):
        made = daemon.command("watch", *argv, "-e", "prod")
        assert made.returncode == code and word in made.stderr and made.stderr.count("\n") == 1, made.stderr
    daemon.write(upload=f"file:{folder}/out/{{id}}.mp4")
    made = daemon.command("watch", str(folder), "-e", "prod")
    assert made.returncode == 6 and "upload" in made.stderr
    daemon.write(upload=f"file:{daemon.clips}/")
    first = Watch(daemon, folder).ready()
    second = daemon.command("watch", str(folder), "-e", "prod")
    assert second.returncode == 1 and "watches it already" in second.stderr
    assert first.stop() == 0


def test_put_away_keeps_what_is_there(tmp_path: Path) -> None:
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    for n in range(3):
        (root / "sub/a.mp4").write_text(str(n))
        put_away(root / "sub/a.mp4", root, tmp_path / "out")
    texts = {path.name: path.read_text() for path in (tmp_path / "out/sub").iterdir()}
    assert texts == {"a.mp4": "0", "a-2.mp4": "1", "a-3.mp4": "2"}
    assert Folder(root).look(root / "../x.mp4") is None
