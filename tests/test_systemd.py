"""sd_notify on a real socket, said by a real daemon in the foreground."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon, events, push, until


@pytest.fixture
def notify(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(15)
        yield listener


def heard(listener: socket.socket, words: str) -> str:
    """Read until a datagram holds the words."""
    while True:
        text = listener.recv(4096).decode()
        if words in text:
            return text


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), **more}


def test_ready_status_watchdog_reload_stop(daemon: Daemon, notify: socket.socket, tmp_path: Path, r) -> None:
    child = daemon.run(environ(tmp_path, WATCHDOG_USEC="400000"), max_worker=2)
    assert "STATUS=running: 0 of 2 slots busy" in heard(notify, "READY=1")
    heard(notify, "WATCHDOG=1")
    heard(notify, "WATCHDOG=1")
    push(r, {"id": "a", "kind": "sleep", "seconds": 1})
    heard(notify, "STATUS=running: 1 of 2 slots busy")
    environment = Path(f"/proc/{child.pid}/environ").read_text()
    assert "NOTIFY_SOCKET" in environment  # as it was given; what its children get is another matter
    heard(notify, "STATUS=running: 0 of 2 slots busy")
    push(r, {"id": "b", "kind": "sleep", "seconds": 6})
    heard(notify, "STATUS=running: 1 of 2 slots busy")
    child.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in heard(notify, "RELOADING=1")
    heard(notify, "READY=1")
    child.send_signal(signal.SIGTERM)
    text = heard(notify, "STOPPING=1")
    assert "EXTEND_TIMEOUT_USEC=30000000" in text
    heard(notify, "WATCHDOG=1")
    assert child.wait(15) == 0
    assert [e["event"] for e in events(r, "a")] == ["started", "done"]


def test_a_hung_loop_gives_no_sign(daemon: Daemon, notify: socket.socket, tmp_path: Path) -> None:
    """The watchdog is fed by the loop that does the work: with Redis hung past its time-out it falls silent."""
    child = daemon.run(environ(tmp_path, WATCHDOG_USEC="300000"))
    heard(notify, "WATCHDOG=1")
    server = next(int(p) for p in os.listdir("/proc") if p.isdigit() and _is_redis(p, daemon))
    os.kill(server, signal.SIGSTOP)
    try:
        notify.settimeout(3)
        with pytest.raises(TimeoutError):
            while True:
                heard(notify, "WATCHDOG=1")
    finally:
        os.kill(server, signal.SIGCONT)
    notify.settimeout(30)
    heard(notify, "WATCHDOG=1")
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0


def _is_redis(pid: str, daemon: Daemon) -> bool:
    try:
        return str(daemon.settings["redis"]).removeprefix("unix://") in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def test_run_logs_to_stderr_and_a_second_sigint_forces(daemon: Daemon, r) -> None:
    child = daemon.run()
    push(r, {"id": "a", "kind": "sleep", "seconds": 60})
    until(lambda: events(r, "a"), 15, "it runs")
    child.send_signal(signal.SIGINT)
    until(
        lambda: r.hget("videod:nodes", daemon.node) and '"draining"' in r.hget("videod:nodes", daemon.node), 5, "drains"
    )
    child.send_signal(signal.SIGINT)
    assert child.wait(15) == 1
    assert "gave back 1 of 1 messages" in child.stderr.read()
    assert r.llen("video_info_queue") == 1
    assert r.hget("videod:nodes", daemon.node) is None
    r.delete("video_info_queue")
