"""Commands whose stdin, stdout or stderr is closed, full or left; and arguments that name nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.daemon import Daemon, final, push, until


def shell(daemon: Daemon, words: str, redirect: str) -> subprocess.CompletedProcess[str]:
    """A command with what a shell can do to its streams."""
    line = f'"$0" -m videod -c "$1" {words} {redirect}'
    argv = ["sh", "-c", line, sys.executable, str(daemon.ini)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("redirect", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_the_daemon_starts_and_stops(daemon: Daemon, r, redirect: str) -> None:
    daemon.write()
    assert shell(daemon, "start prod", redirect).returncode == 0
    push(r, {"id": "a", "kind": "sleep"})
    assert final(r, "a")["event"] == "done"
    done = shell(daemon, "stop prod", redirect)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_stdout_is_no_fault(daemon: Daemon, r) -> None:
    daemon.start()
    for verb in ("list", "dead", "nodes", "status", "log", "retry --all", 'push \'{"kind":"sleep"}\''):
        done = shell(daemon, verb, ">&-")
        assert (done.returncode, done.stderr) == (0, ""), verb
    done = shell(daemon, "show x", "2>&-")
    assert (done.returncode, done.stdout) == (1, "")


def test_a_full_stdout_is_said(daemon: Daemon, r) -> None:
    daemon.start()
    done = shell(daemon, """push '{"id":"a","kind":"sleep"}'""", ">/dev/full")
    assert done.returncode == 1
    assert (
        done.stderr.startswith("videod: the job is queued, but stdout: No space left") and done.stderr.count("\n") == 1
    )
    assert final(r, "a")["event"] == "done"
    done = shell(daemon, "list", ">/dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert shell(daemon, "log", "| head -0").stderr == ""


WRONG = [
    ["pause", "--node", ""],
    ["resume", "--node", ""],
    ["dead", "--drop", "x", "--all"],
    ["dead", "--drop"],
    ["dead", "--drop", ""],
    ["dead", "--drop", "", "--all"],
    ["retry", "", "--all"],
    ["list", "--state", "nosuch"],
    *([*verb, b"\xff"] for verb in (["show"], ["cancel"], ["retry"], ["pause", "--node"], ["dead", "--drop"], ["log"])),
]


def test_an_argument_that_names_nothing_is_a_usage_error(daemon: Daemon, r) -> None:
    daemon.start()
    for argv in WRONG:
        done = daemon.command(*argv)
        assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, ""), (argv, done)
        assert done.stderr.startswith("videod: ") and "internal fault" not in done.stderr
    assert r.hgetall("videod:paused") == {}
    assert daemon.command("dead", "--drop", "--all").returncode == 0


def test_the_messages_of_a_node_that_never_returns(daemon: Daemon, r) -> None:
    """As docs/operations.md says: another machine takes its name until none waits."""
    for ident in ("a", "b"):
        push(r, {"id": ident, "kind": "sleep", "node": "video1"}, queue="video_info_queue@video1")
    r.hset("videod:nodes", "video1", json.dumps({"state": "running", "host": "elsewhere", "pid": 1}))
    daemon.start(node="video1", lease=1)
    waiting = ("list", "-e", "prod", "--state", "waiting", "--json")
    until(lambda: json.loads(daemon.command(*waiting).stdout) == [], 20, "none waits")
    assert {final(r, ident)["event"] for ident in ("a", "b")} == {"done"}
