"""The one way to run a tool: groups, limits, stalls, floods, signals, and what a dead daemon leaves behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import ROOT, until
from videod.cancel import Cancel
from videod.errors import Cancelled, EncodeFailed, Stalled, TimedOut, ToolCrashed, ToolMissing
from videod.limits import Limits
from videod.process import Guardian, Server, Tools


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    made = Guardian(f"test-process:{os.getpid()}")
    yield made
    made.close()


@pytest.fixture
def tools(guardian: Guardian, tmp_path: Path) -> Tools:
    return Tools(guardian, Cancel(), tmp_path)


def ended(word: str) -> bool:
    """Whether it is gone within two seconds: what SIGKILL hit is seen until the kernel has ended it."""
    return until(lambda: gone(word), 2, f"{word} is gone")


def gone(word: str) -> bool:
    return subprocess.run(["pgrep", "-f", word], capture_output=True).returncode == 1


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_output_code_and_cpu(tools: Tools) -> None:
    result = tools.run(sh("cat; echo oops >&2; exit 3"), stdin=b"x" * 300_000, may_fail=True)
    assert (result.code, len(result.stdout), result.stderr) == (3, 300_000, ("oops",))
    tools.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"])
    assert tools.cpu_seconds > 0.15


def test_an_exit_code_is_encode_failed_with_command_and_tail(tools: Tools) -> None:
    with pytest.raises(EncodeFailed) as caught:
        tools.run(sh("echo no such codec https://u:pw@h/x?sig=1 >&2; exit 9"))
    assert "exit code 9" in str(caught.value)
    assert "no such codec" in caught.value.detail
    assert "pw" not in caught.value.detail and "sig=1" not in caught.value.detail


def test_lines_come_while_it_runs_and_are_bounded(tools: Tools) -> None:
    lines: list[str] = []
    errors: list[str] = []
    tools.run(sh("echo a; echo b >&2; printf 'c\\rd\\n'; head -c 100000 /dev/zero | tr '\\0' x; echo; echo e"),
              on_line=lines.append, on_error_line=errors.append)  # fmt: skip
    assert lines[:3] == ["a", "c", "d"]
    assert lines[-1] == "e"
    assert max(map(len, lines)) <= 4096
    assert errors == ["b"]


def test_a_flood_of_stderr_neither_blocks_nor_grows(tools: Tools) -> None:
    result = tools.run(sh("yes x | head -c 30000000 >&2"))
    assert len(result.stderr) == 40


def test_output_beyond_the_limit_is_an_error(tools: Tools) -> None:
    with pytest.raises(EncodeFailed, match="printed more"):
        tools.run(sh("head -c 3000000 /dev/zero"), output_max=1_000_000)


def test_cancel_kills_the_whole_group(tools: Tools) -> None:
    threading.Timer(0.3, tools.cancel.set).start()
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        tools.run(sh("trap '' TERM; sleep 8641 & sleep 8641"))
    assert time.monotonic() - begin < 1.5
    assert ended("sleep 8641")


def test_deadline_and_stall(tools: Tools) -> None:
    tools.deadline = time.monotonic() + 0.3
    with pytest.raises(TimedOut):
        tools.run(sh("while :; do echo x; sleep 0.05; done"))
    tools.deadline, tools.stall_timeout = None, 0.6
    with pytest.raises(Stalled, match="sh moved nothing for 0.6 s"):
        tools.run(sh("sleep 8642"))
    tools.run(sh("for i in 1 2 3 4; do echo $i; sleep 0.3; done"))
    ticks = iter(range(1000))
    tools.run(sh("sleep 1.5"), alive=lambda: next(ticks))
    assert ended("sleep 8642")


def test_a_background_child_neither_holds_us_up_nor_stays(tools: Tools) -> None:
    begin = time.monotonic()
    tools.run(sh("sleep 8643 & exit 0"))
    assert time.monotonic() - begin < 2
    assert ended("sleep 8643")


def test_a_signal_that_is_not_ours(tools: Tools) -> None:
    with pytest.raises(ToolCrashed, match="SIGSEGV"):
        tools.run(sh("kill -SEGV $$"))


def test_a_tool_that_is_not_installed(tools: Tools) -> None:
    with pytest.raises(ToolMissing, match="no-such-tool is not installed"):
        tools.run(["no-such-tool"])


def test_limits_reach_the_tool_and_our_environment_does_not(guardian: Guardian, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    tools = Tools(guardian, Cancel(), tmp_path, Limits(memory=2 << 30, nice=7, file_size=1 << 20, open_files=99))
    text = tools.run(sh("ulimit -v; ulimit -n; ulimit -c; nice; pwd; env")).stdout.decode()
    assert text.split()[:5] == [str(2 << 20), "99", "0", str(os.nice(0) + 7), str(tmp_path)]
    assert "s3cret" not in text
    assert f"HOME={tmp_path}" in text
    with pytest.raises((ToolCrashed, EncodeFailed)):
        tools.run(["dd", "if=/dev/zero", f"of={tmp_path}/big", "bs=1M", "count=3"])
    with pytest.raises((ToolCrashed, EncodeFailed)):
        tools.run([sys.executable, "-c", "bytearray(3 << 30)"])


def test_kill_9_of_the_owner_ends_groups_strays_and_servers(tmp_path: Path) -> None:
    """A group that ignores SIGTERM, a child that left its group, a server: none is alive two seconds later."""
    program = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from videod.cancel import Cancel
from videod.process import Guardian, Server, Tools
guardian = Guardian("test-kill:{os.getpid()}")
server = Server(["sleep", "8651"], guardian, Path({str(tmp_path)!r}))
tools = Tools(guardian, Cancel(), Path({str(tmp_path)!r}))
tools.run(["sh", "-c", "trap '' TERM; setsid sleep 8652 & env -i sleep 8653 & sleep 8654 & echo up; wait"],
          on_line=lambda line: print(line, flush=True))
"""
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "up\n"
    until(lambda: not gone("sleep 8652"), 5, "all run")
    owner.kill()
    owner.communicate()
    assert ended("sleep 865")


def test_the_next_start_sweeps_what_is_left(tmp_path: Path) -> None:
    owner = f"test-sweep:{os.getpid()}"
    environ = {**os.environ, "VIDEOD_OWNER": f"{owner}/0123456789abcdef"}
    stray = subprocess.Popen(["sleep", "8661"], env=environ)
    guardian = Guardian(owner)
    try:
        assert guardian.sweep() == 1
        assert stray.wait(2) == -signal.SIGKILL
        assert guardian.sweep() == 0
    finally:
        guardian.close()


def test_a_server_ends_when_told(guardian: Guardian, tmp_path: Path) -> None:
    server = Server(["sleep", "8671"], guardian, tmp_path)
    assert not server.exited()
    server.stop()
    assert ended("sleep 8671")


def test_many_at_once(guardian: Guardian, tmp_path: Path) -> None:
    """From eight threads: no output goes astray, no descriptor leaks."""
    gc.collect()  # what earlier tests left open is closed now, and not while these run
    before = len(os.listdir("/proc/self/fd"))
    wrong: list[object] = []

    def work(number: int) -> None:
        tools = Tools(guardian, Cancel(), tmp_path)
        for n in range(10):
            text = f"{number}-{n}".encode()
            if tools.run(["cat"], stdin=text).stdout != text:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(os.listdir("/proc/self/fd")) == before
