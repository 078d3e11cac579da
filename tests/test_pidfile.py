"""The lock that the kernel keeps: never two holders, never stale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lockfile import AlreadyLocked, LockFailed, NotLocked, NotMyLock

from tests.daemon import ROOT, until
from videod.pidfile import Holder, PidFile

HOLD = f"""
import sys, time; sys.path.insert(0, {str(ROOT)!r})
from videod.pidfile import PidFile
PidFile(sys.argv[1]).acquire(); print("held", flush=True); time.sleep(600)
"""

# takes the lock again and again; while it has it, it alone may have its mark in the folder
FIGHT = f"""
import sys, os, time, random; sys.path.insert(0, {str(ROOT)!r})
from lockfile import AlreadyLocked
from videod.pidfile import PidFile
path, seconds = sys.argv[1], float(sys.argv[2])
end, won = time.monotonic() + seconds, 0
while time.monotonic() < end:
    lock = PidFile(path)
    try:
        lock.acquire()
    except AlreadyLocked:
        continue
    mark = os.open(path + ".mark", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    won += 1
    os.close(mark)
    assert PidFile(path).look().pid == os.getpid()
    os.unlink(path + ".mark")
    lock.release()
print(won)
"""


def test_acquire_and_release(tmp_path: Path) -> None:
    path = tmp_path / "p"
    lock = PidFile(str(path))
    assert lock.look() == Holder(False, None, False)
    lock.acquire()
    assert path.read_text() == f"{os.getpid()}\n"
    assert lock.i_am_locking() and lock.is_locked() and lock.read_pid() == os.getpid()
    with pytest.raises(AlreadyLocked):
        PidFile(str(path)).acquire()
    lock.release()
    assert not path.exists()
    with pytest.raises(NotLocked):
        lock.release()


def test_what_is_in_the_file_means_nothing(tmp_path: Path) -> None:
    path = tmp_path / "p"
    for text in ("", "garbage", "1\n", f"{os.getpid()}\n", "99999999999\n" * 9):
        path.write_text(text)
        lock = PidFile(str(path))
        assert not lock.is_locked()
        lock.acquire()
        assert path.read_text() == f"{os.getpid()}\n"
        lock.release()


def test_it_is_free_again_after_kill_9(tmp_path: Path) -> None:
    path = str(tmp_path / "p")
    for _ in range(5):
        holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
        assert holder.stdout.readline() == "held\n"
        assert PidFile(path).look() == Holder(True, holder.pid, True)
        with pytest.raises(NotMyLock):
            PidFile(path).break_lock()
        with pytest.raises(NotMyLock):
            PidFile(path).release()
        holder.kill()
        holder.communicate()
        assert PidFile(path).look() == Holder(False, holder.pid, True)


@pytest.mark.parametrize("seconds", [4, pytest.param(60, marks=pytest.mark.long)])
def test_eight_that_fight_for_it(tmp_path: Path, seconds: int) -> None:
    path = str(tmp_path / "p")
    argv = [sys.executable, "-c", FIGHT, path, str(seconds)]
    fighters = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    ends = [fighter.communicate() for fighter in fighters]
    assert all(not errors for _, errors in ends), ends
    assert sum(int(won) for won, _ in ends) > 50


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "p").symlink_to(target)
    with pytest.raises(LockFailed):
        PidFile(str(tmp_path / "p")).acquire()
    assert target.read_text() == "precious"
    with pytest.raises(LockFailed):
        PidFile(str(tmp_path / "no" / "folder")).acquire()


def test_a_file_that_is_not_ours_any_more_stays(tmp_path: Path) -> None:
    path = tmp_path / "p"
    first, second = PidFile(str(path)), PidFile(str(path))
    first.acquire()
    path.unlink()
    second.acquire()
    first.release()
    assert path.exists()
    assert until(second.is_locked, 1, "the second still holds it")
    second.release()
