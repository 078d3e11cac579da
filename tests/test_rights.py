"""Who may do and see what: the scratch folder is private, and root's rights are gone, groups and all."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, final, push, until
from tests.hostile_tools import STRAY, behave, install

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
USER, GROUP = "nobody", "daemon"
# groups of root's shell that must not reach the daemon: adm, disk
ROOTS = [4, 6]


@pytest.fixture
def open_daemon() -> Iterator[Daemon]:
    """A daemon whose folders others may enter: pytest's are root's alone, in which a proof would prove nothing."""
    folder = Path(tempfile.mkdtemp(prefix="videod-rights-"))
    folder.chmod(0o777)
    made = Daemon(folder, f"unix://{folder}/state/redis-prod/redis.sock")
    made.settings |= {"redis": "embedded"}
    yield made
    made.end()
    shutil.rmtree(folder)


def held(daemon: Daemon, r) -> int:
    """A job whose ffmpeg never ends, and the process that stands for it."""
    behave(daemon.folder / "bin", "ffmpeg", "deaf")
    push(r, {"id": "held", "url": str(daemon.folder / "s.mp4"), "end": 0.5, "max_attempts": 1})
    return until(lambda: [pid for pid in daemon.marked() if STRAY in _argv(pid)], 20, "ffmpeg runs")[0]


def prepare(daemon: Daemon) -> dict[str, str]:
    install(daemon.folder / "bin")
    videos.encode(videos.make_master(daemon.folder / "m.nut", "25", 1), daemon.folder / "s.mp4")
    return {**os.environ, "PATH": f"{daemon.folder}/bin:/usr/sbin:/usr/bin:/bin"}


def reachable(daemon: Daemon) -> dict[str, str]:
    """Let the daemon run by a Python that USER may execute, with our libraries: ours may lie in root's home."""
    shim = daemon.folder / "shim"
    shim.mkdir()
    # redis-py wants this library before Python 3.11.3, for a part of it that videod does not use
    (shim / "async_timeout.py").write_text("from asyncio import timeout\n")
    paths = os.pathsep.join(
        [str(shim), os.environ["PYTHONPATH"], *(path for path in sys.path if "site-packages" in path)]
    )
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": paths}
        try:
            subprocess.run([python, "-c", "import redis, daemon, videod"], user=USER, env=environ, cwd="/", check=True,
                           capture_output=True)  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            continue
        daemon.python = python
        return {"PYTHONPATH": paths}
    pytest.skip(f"{USER} may execute no Python that has our libraries")


def test_nobody_else_looks_into_a_scratch_folder(open_daemon: Daemon) -> None:
    daemon = open_daemon
    daemon.start(prepare(daemon))
    r = daemon.client()
    held(daemon, r)
    (scratch,) = daemon.scratch()
    assert scratch.stat().st_mode & 0o777 == 0o700
    assert scratch.stat().st_uid == os.geteuid()
    if os.geteuid() == 0:
        # now the folders above may be entered, so it is this one that keeps others out
        scratch.parent.chmod(0o755)
        other = {"user": pwd.getpwnam(USER).pw_uid, "group": 65534, "extra_groups": [], "capture_output": True}
        assert subprocess.run(["ls", str(scratch.parent)], **other).returncode == 0
        for command in (["ls", scratch], ["cat", scratch / "clip-1.mp4"], ["touch", scratch / "x"]):
            done = subprocess.run([str(word) for word in command], **other)
            assert b"Permission denied" in done.stderr, command
    assert daemon.stop("--now") == 1


@needs_root
def test_root_becomes_user_and_group_with_all_groups(open_daemon: Daemon) -> None:
    daemon = open_daemon
    environ = {**prepare(daemon), **reachable(daemon)}
    daemon.write(user=USER, group=GROUP)
    done = daemon.command("start", daemon.env, env=environ, extra_groups=ROOTS)
    assert (done.returncode, done.stderr) == (0, ""), done
    daemon.python = sys.executable
    r = until(daemon.client, 5, "Redis")
    uid, gid = pwd.getpwnam(USER).pw_uid, grp.getgrnam(GROUP).gr_gid
    assert daemon.pid
    for pid in (daemon.pid, held(daemon, r), *daemon.marked()):
        status = _status(pid)
        assert status["Uid"] == [uid] * 4, pid
        assert status["Gid"] == [gid] * 4, pid
        assert set(status["Groups"]) == set(os.getgrouplist(USER, gid)), pid
        assert not set(status["Groups"]) & {0, *ROOTS}
        assert int(status["CapEff"][0]) == int(status["CapPrm"][0]) == 0
    assert daemon.scratch()[0].stat().st_uid == uid
    assert final_after_release(daemon, r)["event"] == "done"
    (clip,) = daemon.clips.iterdir()
    assert (clip.stat().st_uid, clip.stat().st_gid) == (uid, gid)
    assert daemon.stop() == 0


def final_after_release(daemon: Daemon, r) -> dict:
    """End the held job's ffmpeg, then let a good one through."""
    behave(daemon.folder / "bin")
    for pid in [pid for pid in daemon.marked() if "ffmpeg" in _argv(pid)]:
        os.kill(pid, 9)
    assert final(r, "held", 30)["error"]["code"] == "tool_crashed"
    push(r, {"id": "good", "url": str(daemon.folder / "s.mp4"), "end": 0.5})
    return final(r, "good", 30)


def _status(pid: int) -> dict[str, list[int]]:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    numbers = {name: [int(word) for word in lines[name].split()] for name in ("Uid", "Gid", "Groups")}
    return {**numbers, **{name: [int(lines[name], 16)] for name in ("CapEff", "CapPrm")}}


def _argv(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
