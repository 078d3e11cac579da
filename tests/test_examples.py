"""The producers of docs/examples, each run against a real Redis and a real daemon."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.conftest import RedisServer
from tests.daemon import ROOT, Daemon

FOLDER = ROOT / "docs" / "examples"
# one file a language; `sh` needs redis-cli, which comes with redis-server
RUNNERS = {"producer.sh": "sh", "producer.py": sys.executable, "producer.php": "php", "producer.mjs": "node"}
# run by test_callbacks, test_web_proxy and test_web_metrics
ELSEWHERE = ("receiver.py", "nginx-web.conf", "prometheus-alerts.yml", "grafana.json")


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / 'a "quoted" film.mp4'
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3"]
    command = ["ffmpeg", "-v", "error", *source, "-c:v", "libx264", "-preset", "ultrafast", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def address(redis_server: RedisServer, r: redis.Redis) -> Iterator[str]:
    """The session's Redis, listening on a port as well: that is where producers look for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    r.config_set("port", port)
    yield f"redis://127.0.0.1:{port}/0"
    r.config_set("port", 0)


def produce(file: str, address: str, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [RUNNERS[file], str(FOLDER / file), *argv]
    environ = {**os.environ, "REDIS_URL": address}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)


def test_each_example_has_a_runner() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} == {*RUNNERS, *ELSEWHERE}


@pytest.mark.parametrize("file", RUNNERS)
def test_a_producer_gets_its_clip_and_hears_of_a_failure(
    file: str, address: str, daemon: Daemon, r: redis.Redis, film: Path
) -> None:
    if not shutil.which(RUNNERS[file]):
        pytest.skip(f"{RUNNERS[file]} is not installed")
    daemon.start(allow_paths=film.parent)

    made = produce(file, address, str(film), "0:01", "2")
    assert (made.returncode, made.stderr) == (0, ""), made
    told = [json.loads(line) for line in made.stdout.splitlines()]
    assert [event["event"] for event in told] == ["started", "output", "done"]
    assert told[-1]["outputs"][0]["frames"] == 25
    assert Path(told[-1]["outputs"][0]["url"].removeprefix("file://")).is_file()
    assert r.llen(f"reply:{told[0]['id']}") == 0

    failed = produce(file, address, str(film), "50", "60")
    assert (failed.returncode, failed.stderr) == (1, ""), failed
    last = json.loads(failed.stdout.splitlines()[-1])
    assert (last["event"], last["error"]["code"]) == ("dead", "out_of_range")


def test_the_shell_example_says_what_redis_answered(address: str, r: redis.Redis) -> None:
    """`reply_to` of another type: redis-cli prints an error where an event was expected."""
    script = (FOLDER / "producer.sh").read_text().replace("reply=reply:$id", "reply=occupied")
    r.set("occupied", "by another")
    done = subprocess.run(
        ["sh", "-c", script, "producer.sh", "/v.mp4", "0", "1"],
        capture_output=True, text=True, timeout=20, env={**os.environ, "REDIS_URL": address},
    )  # fmt: skip
    assert done.returncode == 1 and "WRONGTYPE" in done.stderr
