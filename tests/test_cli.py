"""Every command: without a daemon, without Redis, with wrong settings; --json; the ways to name an environment."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.daemon import Daemon, push, until

LOOKING = [
    ("status",),
    ("list",),
    ("show", "x"),
    ("dead",),
    ("log",),
    ("check",),
    ("reload",),
    ("restart",),
    ("push", '{"kind":"sleep"}'),
]


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done
    assert done.stderr.startswith("videod: ")
    return done.stderr


@pytest.mark.parametrize("verb", LOOKING, ids=lambda v: v[0])
def test_without_a_daemon(daemon: Daemon, verb: tuple[str, ...]) -> None:
    done = daemon.command(*verb)
    assert (done.returncode, done.stderr) == (3, "videod: no daemon runs here: videod start ENV\n")
    assert done.stdout == ""


def test_a_failure_is_one_document_with_json(daemon: Daemon) -> None:
    daemon.write(max_worker="many")
    cases = [(6, ("start", "prod")), (6, ("check", "prod")), (2, ("list", "--bogus")), (2, ("start", "nowhere"))]
    cases += [(6, ("reload", "prod"))]
    told = [(code, daemon.command(*argv, "--json")) for code, argv in cases]
    daemon.write(max_worker=1)
    told += [(3, daemon.command(verb, "--json")) for verb in ("status", "list", "reload")]
    daemon.start()
    told += [
        (1, daemon.command(*argv, "x", "--json")) for argv in (("show",), ("retry",), ("dead", "--drop"), ("log",))
    ]
    told.append((1, daemon.command("start", "prod", "--json")))
    for code, done in told:
        line = one_line(done).removeprefix("videod: ").rstrip("\n")
        assert (done.returncode, json.loads(done.stdout)["error"]) == (code, {"code": code, "message": line})
    cancelled = daemon.command("cancel", "x", "--json")
    assert json.loads(cancelled.stdout) == {"id": "x", "cancelled": False, "state": ""}
    full = f"{sys.executable} -m videod -c {daemon.ini} show x --json > /dev/full"
    done = subprocess.run(["sh", "-c", full], capture_output=True, text=True)
    assert done.returncode == 1
    one_line(done)


def test_stop_without_a_daemon_is_no_error(daemon: Daemon) -> None:
    assert daemon.command("stop").returncode == 0
    assert daemon.command("stop", "prod").returncode == 0
    assert json.loads(daemon.command("stop", "--json").stdout) == {"stopped": False, "requeued": False}


def test_without_redis(daemon: Daemon) -> None:
    daemon.write(redis="redis://127.0.0.1:1/0")
    for verb in (("list",), ("show", "x"), ("dead",), ("push", '{"kind":"sleep"}')):
        done = daemon.command(*verb, "-e", "prod")
        assert done.returncode == 1
        assert "Redis does not answer: redis://127.0.0.1:1/0" in one_line(done)
    assert daemon.command("status", "prod").returncode == 3


def test_the_environment_is_found(daemon: Daemon) -> None:
    daemon.start()
    assert json.loads(daemon.command("status", "--json").stdout)["env"] == "prod"
    assert daemon.command("status", "dev").returncode in (0, 3)
    done = daemon.command("status", env={**os.environ, "VIDEOD_ENV": "production"})
    assert done.returncode == 2
    assert "'production' is no environment" in one_line(done)


@pytest.mark.long
def test_two_daemons_here_must_be_named(daemon: Daemon) -> None:
    daemon.sections = "".join(
        f"[{env}]\nnode={env}-{os.getpid()}\nstate_dir={daemon.folder}/{env}\npid_file={daemon.folder}/{env}.pid\n"
        for env in ("dev", "local")
    )
    daemon.start()
    assert daemon.command("start", "dev").returncode == 0
    done = daemon.command("status")
    assert done.returncode == 2
    assert "dev, prod" in one_line(done)
    assert daemon.command("stop", "dev").returncode == 0
    assert daemon.command("status").returncode == 0


@pytest.mark.long
def test_a_shared_pidfile_is_not_another_environments_daemon(daemon: Daemon) -> None:
    daemon.env = "dev"
    daemon.start()
    assert daemon.command("status").returncode == daemon.command("status", "dev").returncode == 0
    assert daemon.command("status", "prod").returncode == 3
    assert daemon.command("reload", "prod").returncode == 3
    assert daemon.command("stop", "prod").returncode == 0
    assert daemon.command("status", "dev").returncode == 0
    assert "already running" in one_line(daemon.command("start", "prod"))


def test_start_twice(daemon: Daemon) -> None:
    daemon.start()
    done = daemon.command("start", "prod")
    assert done.returncode == 1
    assert f"already running with pid {daemon.pid}" in one_line(done)


def test_usage(daemon: Daemon) -> None:
    for argv in ((), ("frobnicate",), ("start",), ("status", "--bogus"), ("start", "nowhere"), ("dead", "--all")):
        done = daemon.command(*argv)
        assert done.returncode in (2, 3), argv
        one_line(done)
    assert daemon.command("--version").stdout.startswith("videod ")


@pytest.mark.parametrize(
    "verb",
    ["start", "run", "stop", "restart", "reload", "status", "check", "push", "list", "show", "dead", "log", "demo"],
)
def test_help_has_an_example(daemon: Daemon, verb: str) -> None:
    done = daemon.command(verb, "--help")
    assert done.returncode == 0
    assert f"example: videod {verb}" in done.stdout


WRONG = {
    "unknown key": ("max_workers = 3", "max_workers", "did you mean 'max_worker'?"),
    "bad number": ("max_worker = many", "max_worker", "a whole number from 1 to 256"),
    "bad size": ("min_free = lots", "min_free", "a size such as 500M"),
    "bad time": ("lease = -1", "lease", "a time such as 90, 15m"),
    "bad redis": ("redis = http://x", "redis", "redis://, rediss:// or unix://"),
    "relative path": ("state_dir = var/lib", "state_dir", "an absolute path"),
    "missing variable": ("redis = redis://${NO_SUCH_VARIABLE}", "redis", "NO_SUCH_VARIABLE"),
    "missing file": ("callback_secret = ${file:/no/such/file}", "callback_secret", "/no/such/file"),
    "equal lists": ("queue = a\nbatch_queue = a", "queue", "three names"),
    "unknown section": ("[production]", "production", "unknown section"),
    "no section name": ("[preset]", "preset", "unknown section"),
    "bad preset": ("[preset x]\nquality = 99", "quality", "from 0 to 51"),
    "no ini at all": ("max_worker", "max_worker", ""),
    "below the prefix": ("queue = videod:running:x", "queue", "must not begin with videod:"),
    "group alone": ("group = daemon", "group", "needs user"),
    "no lease": ("lease = 0", "lease", "longer than 0"),
    "one byte": ("memory_per_job = 1", "memory_per_job", "768M"),
    "twice": ("queue = a\nqueue = b", "queue", "already exists"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_ini_is_one_line_and_nothing_starts(daemon: Daemon, case: str) -> None:
    text, key, allowed = WRONG[case]
    folders = f"pid_file = {daemon.folder}/p\n" + ("" if "state_dir" in text else f"state_dir = {daemon.folder}/s\n")
    daemon.ini.write_text(f"[DEFAULT]\n{folders}[prod]\n{text}\n")
    for verb in ("start", "check"):
        done = daemon.command(verb, "prod")
        assert done.returncode == 6
        line = one_line(done)
        assert key in line and allowed in line and str(daemon.ini) in line
    daemon.ini.unlink()


def test_check_tells_all_that_is_wrong_with_the_ini(daemon: Daemon) -> None:
    wrong = "max_worker = many\nlease = 0\nqueue = a\nbatch_queue = a\nstate_dirs = /x\n"
    daemon.ini.write_text(f"[prod]\n{wrong}[preset x]\nquality = 99\n[web]\npreset = nix\n")
    done = daemon.command("check", "prod", "--json")
    lines, document = done.stderr.splitlines(), json.loads(done.stdout)
    assert done.returncode == 6 and all(line.startswith("videod: [") for line in lines)
    keys = ["state_dirs", "max_worker", "quality", "queue, batch_queue, abnormal_queue", "lease", "preset"]
    assert [line.partition("] ")[2].partition(": ")[0] for line in lines] == keys
    assert [f"videod: {row['text']}" for row in document["findings"]] == lines
    assert document["error"] == {"code": 6, "message": lines[0].removeprefix("videod: ")}
    one_line(daemon.command("start", "prod"))
    daemon.ini.unlink()


@pytest.mark.parametrize("text", ["max_worker = many", "frobnicate = 1", "no key at all", "nice = 1\nnice = 2"])
def test_a_daemon_is_seen_and_stopped_whatever_its_ini_says_by_now(daemon: Daemon, text: str) -> None:
    daemon.start()
    daemon.ini.write_text(daemon.ini.read_text() + text + "\n")
    done = daemon.command("status", "prod", "--json")
    assert (done.returncode, json.loads(done.stdout)["state"]) == (0, "running")
    assert f"{daemon.ini}: " in one_line(done)
    assert daemon.command("status").returncode == 0
    done = daemon.command("reload", "prod")
    assert done.returncode == 6 and "keeps the settings it has" in one_line(done)
    done = daemon.command("stop", "prod", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"stopped": True, "requeued": False})
    one_line(done)
    # where it is may be told by what cannot be read
    torn = text[0] == "n"
    assert [daemon.command(verb, "prod").returncode for verb in ("stop", "status")] == ([6, 6] if torn else [0, 3])
    daemon.write(pid_file="here")
    assert daemon.command("stop", "prod").returncode == 6
    daemon.write(pid_file=daemon.folder / "videod.pid")


def test_no_ini(daemon: Daemon, tmp_path: Path) -> None:
    daemon.write()
    for argv in (("-c", "/no/such.ini", "start", "prod"), ("-c", str(tmp_path), "start", "prod")):
        command = [sys.executable, "-m", "videod", *argv]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 6
        assert argv[1] in one_line(done)


def test_missing_tools_are_named(daemon: Daemon, tmp_path: Path) -> None:
    daemon.write()
    empty = tmp_path / "bin"
    empty.mkdir()
    (empty / "wget").symlink_to("/usr/bin/wget")
    environ = {**os.environ, "PATH": str(empty)}
    for verb in ("start", "check"):
        done = daemon.command(verb, "prod", env=environ)
        assert done.returncode == 5, done
        assert "ffmpeg is not installed" in done.stdout + done.stderr
    assert daemon.pid is None


def test_check_tells_what_is_wrong(daemon: Daemon, r) -> None:
    daemon.write()
    assert daemon.command("check", "prod").returncode == 0
    done = daemon.command("check", "prod", "--json")
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert {"configuration", "ffmpeg", "redis", "disk"} <= {row["what"] for row in document["findings"]}
    r.config_set("maxmemory", "1gb")
    r.config_set("maxmemory-policy", "allkeys-lru")
    try:
        done = daemon.command("check", "prod")
        assert done.returncode == 1
        assert "with maxmemory-policy allkeys-lru it deletes queues" in done.stdout
        done = daemon.command("start", "prod")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert "set maxmemory-policy noeviction" in done.stderr
    finally:
        r.config_set("maxmemory", "0")
        r.config_set("maxmemory-policy", "noeviction")
    daemon.write(min_free="900T")
    done = daemon.command("check", "prod")
    assert (done.returncode, "problem  disk" in done.stdout) == (1, True)
    daemon.write(min_free="1M")


@pytest.mark.parametrize(
    ("setting", "value"),
    [("user", "no-such-user"), ("upload", "file:///nonexist/{foo}"), ("upload", "s3://bucket/"), ("pid_file", "/tmp")],
)
def test_what_check_passes_start_does_not_refuse(daemon: Daemon, setting: str, value: str) -> None:
    daemon.write(**{setting: value})
    checked = daemon.command("check", "prod")
    assert checked.returncode == 6, checked
    assert "problem" in checked.stdout
    assert daemon.command("start", "prod").returncode == 6
    daemon.write(user=None, upload=f"file:{daemon.clips}/", pid_file=daemon.folder / "videod.pid")


def test_push_refuses_what_the_daemon_would_bury(daemon: Daemon) -> None:
    daemon.start()
    for message, words in (
        ('{"url":"https://example.org/v","strat":1}', "unknown field 'strat', did you mean 'start'?"),
        ('{"url":"https://example.org/v","end":0}', "end: is not after start"),
        ('{"url":"file:///etc/passwd"}', "url: "),
        ("{", "not JSON"),
    ):
        done = daemon.command("push", message)
        assert done.returncode == 2
        assert words in one_line(done)


def test_push_from_file_stdin_and_words(daemon: Daemon, r, tmp_path: Path) -> None:
    daemon.start()
    message = '{"id":"one","kind":"sleep"}'
    (tmp_path / "m.json").write_text(message)
    assert daemon.command("push", str(tmp_path / "m.json")).stdout == "one\n"
    assert daemon.command("push", "-", input='{"id":"two","kind":"sleep"}').stdout == "two\n"
    assert json.loads(daemon.command("push", '{"id":"three","kind":"sleep"}', "--json").stdout) == {"id": "three"}
    made = daemon.command("push", '{"kind":"sleep"}').stdout.strip()
    assert len(made) == 32
    until(lambda: r.hget(f"videod:job:{made}", "state") == "done", 10, "done")


def test_push_wait_shows_and_exits_with_the_outcome(daemon: Daemon) -> None:
    daemon.start()
    done = daemon.command("push", '{"id":"a","kind":"sleep","seconds":0.5}', "--wait")
    assert (done.returncode, done.stdout) == (0, "a\n")
    assert done.stderr.splitlines()[-1].startswith("done")
    dead = daemon.command("push", '{"id":"b","url":"https://no-such-host.invalid/v"}', "--wait")
    assert dead.returncode == 1
    assert "videod: dead: b: fetch_failed: " in dead.stderr
    document = json.loads(daemon.command("push", '{"id":"c","kind":"sleep"}', "--wait", "--json").stdout)
    assert document["state"] == "done"


def test_push_wait_says_why_nothing_moves(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.command("pause", "-e", "prod").returncode == 0
    nodes = daemon.command("nodes").stdout
    assert (
        "all nodes pause: videod pause (videod resume)" in nodes and f"{daemon.node}: paused: videod pause; go" in nodes
    )
    waits = subprocess.Popen(
        [sys.executable, "-m", "videod", "-c", str(daemon.ini), "push", '{"id":"a","kind":"sleep"}', "--wait"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert waits.stderr
    lines = [waits.stderr.readline() for _ in range(2)]
    assert "videod: nothing moves: all nodes pause: videod pause; go on: videod resume\n" in lines
    assert daemon.command("resume").returncode == 0
    rest = waits.stderr.read()
    assert waits.wait(30) == 0 and "nothing moves" not in rest
    daemon.stop()


def test_a_command_that_is_mistyped(daemon: Daemon) -> None:
    for given, said in (("stat", ": did you mean 'status'?"), ("psuh", ": did you mean 'push'?"), ("xyzzy", "")):
        made = daemon.command(given)
        text = f"videod: no command of this name: {given}{said}: command line: see videod --help\n"
        assert (made.returncode, made.stderr) == (2, text)


def test_push_wait_of_a_done_id_is_no_success(daemon: Daemon) -> None:
    daemon.start()
    message = '{"id":"a","kind":"sleep"}'
    assert daemon.command("push", message, "--wait").returncode == 0
    again = daemon.command("push", message, "--wait")
    assert again.returncode == 1
    assert "videod: duplicate: a: this id is done already" in again.stderr


def test_a_file_that_is_no_message_is_named(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start()
    (tmp_path / "talk.mp4").write_bytes(b"video")
    done = daemon.command("push", "talk.mp4", cwd=tmp_path)
    assert (done.returncode, "a file, not a message: talk.mp4" in one_line(done)) == (2, True)


def test_list_show_dead_drop(daemon: Daemon, r) -> None:
    daemon.start(max_worker=1)
    push(r, {"id": "bad", "kind": "nope"}, {"id": "long", "kind": "sleep", "seconds": 120})
    push(r, {"id": "wait", "url": "https://u:pw@example.org/v?sig=abc"})
    until(lambda: r.hget("videod:job:long", "state") == "running", 10, "runs")
    states = {job["id"]: job["state"] for job in json.loads(daemon.command("list", "--json").stdout)}
    assert states == {"bad": "dead", "long": "running", "wait": "waiting"}
    assert [j["id"] for j in json.loads(daemon.command("list", "--state", "dead", "--json").stdout)] == ["bad"]
    assert "one of waiting, running" in one_line(daemon.command("list", "--state", "duplicate"))
    shown = daemon.command("list").stdout + daemon.command("show", "wait").stdout
    assert "wait" in shown and "pw" not in shown and "abc" not in shown
    assert json.loads(daemon.command("show", "long", "--json").stdout)["node"] == daemon.node
    assert daemon.command("show", "nothing").returncode == 1
    status = json.loads(daemon.command("status", "--json").stdout)
    assert (status["state"], status["slots"], status["queues"]["video_info_queue"]) == ("running", 1, 1)
    assert [job["id"] for job in status["jobs"]] == ["long"]
    assert [d["id"] for d in json.loads(daemon.command("dead", "--json").stdout)] == ["bad"]
    assert daemon.command("dead", "--drop", "nothing").returncode == 1
    assert daemon.command("dead", "--drop", "bad").returncode == 0
    assert json.loads(daemon.command("dead", "--json").stdout) == []
    r.delete("video_info_queue")
    assert daemon.stop("--now") == 1
    r.delete("video_info_queue")


def test_stop_shows_what_it_waits_for(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "slow-one", "kind": "sleep", "seconds": 6})
    until(lambda: r.hget("videod:job:slow-one", "state") == "running", 10, "runs")
    done = daemon.command("stop")
    assert done.returncode == 0
    assert "waiting for 1 jobs: slow-one" in done.stdout


def test_a_state_dir_that_was_changed_is_named_and_the_daemon_still_found(daemon: Daemon) -> None:
    daemon.start()
    daemon.write(state_dir=daemon.folder / "elsewhere", keep_jobs="1d")
    done = daemon.command("reload", "prod")
    assert done.returncode == 0
    assert done.stderr.startswith("videod: needs a restart: keep_jobs, state_dir, work_dir"), done
    assert "state_dir" in json.loads(daemon.command("reload", "prod", "--json").stdout)["needs_restart"]
    # the end of the daemon is told where it began
    assert json.loads(daemon.command("stop", "--json").stdout) == {"stopped": True, "requeued": False}
    daemon.write(state_dir=daemon.state)


def test_log_of_one_job_and_following(daemon: Daemon, r) -> None:
    daemon.start()
    push(r, {"id": "a", "kind": "sleep"}, {"id": "ab", "kind": "sleep"})
    until(
        lambda: "job=ab attempt=1 sleep: done" in daemon.log and "job=a attempt=1 sleep: done" in daemon.log, 10, "done"
    )
    lines = daemon.command("log", "a").stdout.splitlines()
    assert len(lines) == 2
    assert all(" job=a " in line for line in lines)
    assert (daemon.command("log", "a", "-n", "0").returncode, daemon.command("log", "-n", "0").returncode) == (0, 0)
    done = daemon.command("log", "nobody")
    assert (done.returncode, done.stdout) == (1, "") and "no line of this id: nobody" in one_line(done)
    argv = [sys.executable, "-m", "videod", "-c", str(daemon.ini), "log", "-f", "late"]
    follower = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        (daemon.folder / "videod.log").rename(daemon.folder / "videod.log.1")
        push(r, {"id": "late", "kind": "sleep"})
        assert " job=late " in follower.stdout.readline()
    finally:
        follower.kill()
        follower.communicate()


def test_status_of_a_dead_daemon_and_one_we_may_not_look_at(daemon: Daemon) -> None:
    daemon.start()
    daemon.kill()
    done = daemon.command("status", "prod")
    assert (done.returncode, "dead" in done.stdout) == (1, True)
    daemon.start()
    assert daemon.command("restart").returncode == 0
    assert daemon.command("status").returncode == 0


def test_demo(daemon: Daemon, tmp_path: Path) -> None:
    done = daemon.command("demo", "--dir", str(tmp_path / "d"), "--json", "--end", "2.5")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert document["counted"] == [document["outputs"][0]["frames"]] == [13]
    assert Path(document["outputs"][0]["url"].removeprefix("file://")).stat().st_size == document["outputs"][0]["bytes"]


def test_demo_offers_the_pages(daemon: Daemon, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    command = [daemon.python, "-m", "videod", "demo", "--dir", str(tmp_path / "d"), "--web"]
    said = tmp_path / "said"
    with said.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            until(lambda: "web: serving" in said.read_text() or process.poll() is not None, 60, "it serves")
            assert process.poll() is None, said.read_text()
            (address,) = re.findall(r"open (http://127.0.0.1:\d+/) ", said.read_text())
            assert b"Upload a video" in urllib.request.urlopen(address, timeout=10).read()  # noqa: S310
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert "Traceback" not in said.read_text()
