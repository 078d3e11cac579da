"""The daemon outlives tools that eat memory, fork, hang, flood, crash and lie, and serves the next job."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, final, push, until
from tests.hostile_tools import STRAY, behave, install
from tests.origin import Origin

# the daemon itself, in KiB: what a tool floods us with must not stay
MOST_MEMORY = 120_000
MOST_LOG = 200_000

# tool, how it misbehaves, how the job ends
QUICK = [
    ("ffmpeg", "memory", "encode_failed"),
    ("ffmpeg", "forks", "done"),
    ("ffmpeg", "deaf", "stalled"),
    ("ffmpeg", "talk", "timeout"),
    ("ffmpeg", "flood", "encode_failed"),
    ("ffmpeg", "count", "encode_failed"),
    ("ffmpeg", "segv", "tool_crashed"),
    ("ffmpeg", "huge", "encode_failed"),
    ("ffprobe", "packets", "encode_failed"),
    ("wget", "nothing", "fetch_failed"),
]
MORE = [
    ("ffmpeg", "nothing", "encode_failed"),
    ("ffmpeg", "late", "encode_failed"),
    ("ffprobe", "segv", "tool_crashed"),
    ("ffprobe", "nothing", "encode_failed"),
    ("ffprobe", "rubbish", "encode_failed"),
    ("ffprobe", "deaf", "stalled"),
    ("ffprobe", "forks", "done"),
    ("wget", "segv", "tool_crashed"),
    ("wget", "deaf", "stalled"),
    ("wget", "huge", "too_big"),
    ("wget", "forks", "done"),
]


def status(pid: int, name: str) -> int:
    line = next(li for li in Path(f"/proc/{pid}/status").read_text().splitlines() if li.startswith(f"{name}:"))
    return int(line.split()[1])


def strays() -> bool:
    return subprocess.run(["pgrep", "-f", f"sleep {STRAY}"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("short")
    return videos.encode(videos.make_master(folder / "m.nut", "25", 1), folder / "s.mp4").read_bytes()


@pytest.mark.parametrize(
    "ways", [pytest.param(QUICK, id="quick"), pytest.param(MORE, id="more", marks=pytest.mark.long)]
)
def test_whatever_a_tool_does_the_next_job_is_served(daemon: Daemon, r, short: bytes, ways: list) -> None:
    tools = daemon.folder / "bin"
    install(tools)
    source = daemon.folder / "s.mp4"
    source.write_bytes(short)
    daemon.start({"PATH": f"{tools}:/usr/bin:/bin"}, allow_hosts="* 127.0.0.1", memory_per_job="1G", stall_timeout=5,
                 max_source_bytes="500M", max_worker=1)  # fmt: skip
    pid, seen = daemon.pid, []
    with Origin() as origin:
        web = origin.put("/s.mp4", short)
        for tool, mode, _ in ways:
            behave(tools, tool, mode)
            ident, timeout = f"{tool}-{mode}", 1.5 if mode == "talk" else 30
            push(r, {"id": ident, "url": web if tool == "wget" else str(source), "end": 0.5, "timeout": timeout,
                     "max_attempts": 1})  # fmt: skip
            event = final(r, ident, 40)
            seen.append((tool, mode, event["error"]["code"] if event["event"] == "dead" else event["event"]))
            print(*seen[-1], event.get("error", {}).get("message", ""))
            behave(tools)
            assert not strays(), (tool, mode)
            assert not daemon.scratch(), (tool, mode)
            push(r, {"id": f"after-{ident}", "url": str(source), "end": 0.2, "max_attempts": 1})
            assert final(r, f"after-{ident}", 40)["event"] == "done", (tool, mode)
    assert seen == ways
    assert daemon.pid == pid and pid
    assert status(pid, "VmHWM") < MOST_MEMORY
    assert len(daemon.log) < MOST_LOG
    assert "Traceback" not in daemon.log
    accounted(r, [f"{first}{tool}-{mode}" for tool, mode, _ in ways for first in ("", "after-")])


def test_each_tool_has_its_limits(daemon: Daemon, r, short: bytes) -> None:
    """Read from the kernel, of an ffmpeg at work."""
    tools = daemon.folder / "bin"
    install(tools)
    behave(tools, "ffmpeg", "deaf")
    source = daemon.folder / "s.mp4"
    source.write_bytes(short)
    daemon.start({"PATH": f"{tools}:/usr/bin:/bin"}, memory_per_job="1G", nice=7)
    push(r, {"id": "a", "url": str(source), "end": 0.5})
    pids = until(lambda: [p for p in daemon.marked() if "sleep" in _name(p)], 20, "ffmpeg runs")
    text = Path(f"/proc/{pids[0]}/limits").read_text()
    limits = {line[:25].strip(): line[26:].split()[0] for line in text.splitlines()[1:]}
    assert limits["Max address space"] == str(1 << 30)
    assert limits["Max core file size"] == "0"
    assert limits["Max open files"] == "1024"
    # 13 frames of 320x180 raw, a second of sound, and room
    assert 64 << 20 < int(limits["Max file size"]) < 80 << 20
    assert status(pids[0], "NoNewPrivs") == 1
    assert int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[16]) == 7
    assert daemon.stop("--now") == 1
    r.delete("video_info_queue")


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""
