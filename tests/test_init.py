"""What lies in init/: read by the programs that will read it, and run for real with a daemon of our own."""

from __future__ import annotations

import getpass
import grp
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.daemon import ROOT, Daemon, events, final, push, until

INIT = ROOT / "init"
SysV = Callable[..., subprocess.CompletedProcess[str]]


def needs(tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")


def run(*argv: object, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60, **more)


def program(tmp_path: Path) -> Path:
    """The checkout's videod as one executable file."""
    made = tmp_path / "videod"
    made.write_text(f'#!/bin/sh\nexec {sys.executable} -m videod "$@"\n')
    made.chmod(0o755)
    return made


# ------------------------------------------------------------- systemd
@pytest.fixture
def unit(tmp_path: Path) -> Path:
    made = tmp_path / "videod.service"
    made.write_text((INIT / "videod.service").read_text().replace("/usr/bin/videod", str(program(tmp_path))))
    return made


def test_unit_is_well_formed(unit: Path) -> None:
    needs("systemd-analyze")
    done = run("systemd-analyze", "verify", "--man=no", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    unit.write_text(unit.read_text().replace("KillMode=mixed", "KillMode=mixd"))
    assert "kill mode" in run("systemd-analyze", "verify", "--man=no", unit).stderr  # it does look


def test_unit_is_hardened(unit: Path) -> None:
    needs("systemd-analyze")
    if "--offline" not in run("systemd-analyze", "--help").stdout:
        pytest.skip("systemd-analyze is older than 250")
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert done.returncode == 0, done.stdout[-300:]


def test_unit_does_not_undo_the_drain() -> None:
    said = dict(re.findall(r"^(\w+)=(.*)$", (INIT / "videod.service").read_text(), flags=re.MULTILINE))
    assert said["Type"] == "notify" and said["KillMode"] == "mixed" and said["User"] == "videod"
    assert said["ExecStart"] == "/usr/bin/videod run prod"
    # the daemon asks for 30 s more every 15 s, the first time at once
    assert int(said["TimeoutStopSec"]) > 30 and int(said["WatchdogSec"]) >= 30


def test_sysusers_and_tmpfiles(tmp_path: Path) -> None:
    needs("systemd-sysusers")
    done = run("systemd-sysusers", "--dry-run", f"--root={tmp_path}", INIT / "videod.sysusers")
    assert done.returncode == 0 and "Creating user 'videod'" in done.stdout + done.stderr
    lines = (INIT / "videod.tmpfiles").read_text().splitlines()
    assert [line.split()[1] for line in lines if line[0] != "#"] == [
        "/run/videod",
        "/var/lib/videod",
        "/var/log/videod",
    ]
    conf = tmp_path / "videod.conf"
    conf.write_text((INIT / "videod.tmpfiles").read_text().replace("videod videod -", f"{os.getuid()} {os.getgid()} -"))
    done = run("systemd-tmpfiles", "--create", f"--root={tmp_path}", conf)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "var/lib/videod").is_dir() and (tmp_path / "run/videod").is_dir()


HARDEN = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 38, 65
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
if libc.prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0:
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_clips_are_cut_under_the_units_limits(daemon: Daemon, r: redis.Redis, tmp_path: Path) -> None:
    """No new privileges, no memory that is writable and executable, no capability: tools and redis-server live."""
    argv = [sys.executable, "-c", HARDEN]
    if run(*argv, "/bin/true").returncode == 77:
        pytest.skip("the kernel is older than 6.3")
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    source = tmp_path / "source.mp4"
    test = ["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=3", "-f", "lavfi", "-i", "sine=d=3"]
    subprocess.run(["ffmpeg", "-v", "error", *test, "-c:v", "libx264", "-g", "25", str(source)], check=True)
    daemon.sections = "[preset small]\nmax_height = 120\n"
    daemon.write()
    command = [*argv, *map(shutil.which, drop[:1]), *drop[1:], sys.executable, "-m", "videod"]
    child = subprocess.Popen([*command, "-c", str(daemon.ini), "run", "prod"], stderr=subprocess.PIPE, text=True)
    try:
        push(r, {"id": "whole", "url": str(source), "start": 0.5, "end": 2})
        push(r, {"id": "small", "url": str(source), "start": 1, "end": 2, "cut": "encode", "preset": "small"})
        ends = [final(r, ident, 30) for ident in ("whole", "small")]
        assert [end["event"] for end in ends] == ["done", "done"], ends
        assert ends[1]["outputs"][0]["height"] == 120
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=20)


# ------------------------------------------------------------- SysV
@pytest.fixture
def sysv(request: pytest.FixtureRequest, daemon: Daemon, tmp_path: Path) -> SysV:
    shell = getattr(request, "param", "sh").split()
    needs(shell[0])
    daemon.write()
    defaults = tmp_path / "default"
    defaults.write_text(f"DAEMON={program(tmp_path)}\nCONFIG={daemon.ini}\nENV=prod\n")

    def call(*verb: str, **environ: str) -> subprocess.CompletedProcess[str]:
        known = {**os.environ, "VIDEOD_DEFAULTS": str(defaults), **environ}
        return run(*shell, INIT / "videod.init", *verb, env=known)

    return call


def test_script_is_clean() -> None:
    assert run("sh", "-n", INIT / "videod.init").returncode == 0
    needs("shellcheck")
    files = [INIT / "videod.init", ROOT / "bin/videod", ROOT / ".ci/run", *(ROOT / "tools").iterdir()]
    scripts = [file for file in files if file.is_file() and file.read_bytes().startswith(b"#!/bin/sh")]
    assert len(scripts) >= 6
    done = run("shellcheck", "-s", "sh", *scripts)
    assert done.returncode == 0, done.stdout
    for word in ("Provides", "Required-Start", "Required-Stop", "Default-Start", "Default-Stop", "Short-Description"):
        assert f"\n# {word}:" in (INIT / "videod.init").read_text()


@pytest.mark.parametrize("sysv", ["bash --posix", "busybox sh"], indirect=True)
def test_any_shell_will_do(sysv: SysV, daemon: Daemon) -> None:
    done = [sysv(*verb.split()).returncode for verb in ("status", "start", "status", "stop", "status", "fly")]
    assert done == [3, 0, 0, 0, 3, 2]


def test_lsb_exit_codes(sysv: SysV, daemon: Daemon, r: redis.Redis) -> None:
    assert sysv("status").returncode == 3
    assert sysv("stop").returncode == 0  # stopped already
    assert sysv("reload").returncode == 7
    assert sysv("try-restart").returncode == 0
    assert daemon.pid is None
    assert sysv("start").returncode == 0
    pid = daemon.pid
    assert sysv("status").returncode == 0
    assert sysv("start").returncode == 0  # runs already
    assert daemon.pid == pid
    assert sysv("reload").returncode == 0
    assert sysv("force-reload").returncode == 0
    until(lambda: daemon.log.count("reload: nothing changed") >= 1, 5, "it reloaded")
    assert sysv("try-restart").returncode == 0
    second = daemon.pid
    assert second and second != pid
    assert sysv("restart").returncode == 0
    assert daemon.pid not in (None, second)
    daemon.kill()
    assert sysv("status").returncode == 1
    assert sysv("start").returncode == 0
    assert sysv("stop").returncode == 0
    assert sysv("status").returncode == 3
    assert sysv().returncode == 2
    assert sysv("fly").returncode == 2


def test_script_without_program_or_settings(sysv: SysV, daemon: Daemon, tmp_path: Path) -> None:
    daemon.ini.write_text("[prod]\nmax_wroker = 3\n")
    assert sysv("start").returncode == 6
    assert sysv("status").returncode == 3  # a key that nobody knows does not hide where a daemon would be
    (tmp_path / "videod").unlink()
    assert sysv("start").returncode == 5
    assert sysv("status").returncode == 4
    daemon.write()


def test_stop_waits_but_not_at_shutdown(sysv: SysV, daemon: Daemon, r: redis.Redis) -> None:
    assert sysv("start").returncode == 0
    push(r, {"id": "short", "kind": "sleep", "seconds": 1})
    until(lambda: events(r, "short"), 5, "it runs")
    assert sysv("stop").returncode == 0
    assert [event["event"] for event in events(r, "short")] == ["started", "done"]
    assert sysv("start").returncode == 0
    push(r, {"id": "long", "kind": "sleep", "seconds": 300})
    until(lambda: events(r, "long"), 5, "it runs")
    began = time.monotonic()
    assert sysv("stop", RUNLEVEL="6").returncode == 0  # 1 from videod: something went back; stopped it is
    assert time.monotonic() - began < 20
    assert r.llen("video_info_queue") == 1


# ------------------------------------------------------------- supervisor
@pytest.fixture
def supervisor(daemon: Daemon, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    needs("supervisord")
    daemon.write()
    text = (INIT / "supervisor.conf").read_text()
    text = text.replace("/usr/bin/videod -c /etc/videod.ini", f"{program(tmp_path)} -c {daemon.ini}")
    text = text.replace("user=videod", f"user={getpass.getuser()}")
    conf = tmp_path / "supervisord.conf"
    logs = f"logfile={tmp_path}/supervisord.log\npidfile={tmp_path}/supervisord.pid\nchildlogdir={tmp_path}\n"
    conf.write_text(f"[supervisord]\nnodaemon=true\nidentifier=t\n{logs}{text}")
    # Debian's supervisord belongs to Debian's Python
    environ = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    child = subprocess.Popen(
        ["supervisord", "-n", "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ
    )
    yield child
    if child.poll() is None:
        child.kill()
    child.wait()


def test_supervisor_starts_it_again_and_lets_it_drain(
    supervisor: subprocess.Popen[bytes], daemon: Daemon, r: redis.Redis
) -> None:
    until(daemon.running, 20, "supervisor started it")
    first = daemon.pid
    daemon.kill()
    until(lambda: daemon.pid != first and daemon.running(), 20, "supervisor started it again")
    push(r, {"id": "a", "kind": "sleep", "seconds": 1})
    until(lambda: events(r, "a"), 5, "it runs")
    supervisor.terminate()
    assert supervisor.wait(20) == 0
    assert [event["event"] for event in events(r, "a")] == ["started", "done"]
    assert daemon.pid is None


# ------------------------------------------------------------- logrotate
def rotation(tmp_path: Path, log: Path) -> Path:
    """The rules for this log, by this user."""
    us = f"{getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}"
    text = (INIT / "videod.logrotate").read_text().replace("/var/log/videod/*.log", str(log))
    text = text.replace("su videod videod", f"su {us}" if os.geteuid() == 0 else "")
    made = tmp_path / "logrotate.conf"
    made.write_text(text.replace("0640 videod videod", f"0640 {us}"))
    made.chmod(0o644)
    return made


def test_log_is_rotated_without_a_signal(daemon: Daemon, r: redis.Redis, tmp_path: Path) -> None:
    needs("logrotate")
    daemon.start()
    conf = rotation(tmp_path, daemon.folder / "videod.log")
    done = run("logrotate", "-d", conf)
    assert done.returncode == 0 and "error" not in done.stderr.lower(), done.stderr
    push(r, {"id": "before", "kind": "sleep"})
    until(lambda: re.search("job=before .*done", daemon.log), 5, "all of it is written")
    done = run("logrotate", "-f", "-s", tmp_path / "rotated", conf)
    assert (done.returncode, done.stderr) == (0, "")
    pushed: list[str] = []

    def followed() -> bool:  # a moment after the move lines still go to the old file
        pushed.append(f"after{len(pushed)}")
        push(r, {"id": pushed[-1], "kind": "sleep"})
        final(r, pushed[-1])
        return "job=after" in daemon.log

    def lines() -> str:
        return (daemon.folder / "videod.log.1").read_text() + daemon.log

    until(followed, 5, "the new log is written")
    until(lambda: lines().count("job=after") == 2 * len(pushed), 5, "no line is lost")
    assert "job=before" not in daemon.log
