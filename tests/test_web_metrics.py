"""/metrics as Prometheus reads it, and the examples of alerts and of a dashboard that go by it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

import urllib3
from prometheus_client import parser

from tests.conftest import RedisServer
from tests.daemon import ROOT, Daemon, final, push, until
from tests.ports import free_port
from tests.redis_servers import short_folder
from tests.web import Client, Web

ALERTS, DASHBOARD = ROOT / "docs/examples/prometheus-alerts.yml", ROOT / "docs/examples/grafana.json"


def families(web: Web) -> dict[str, Any]:
    done = Client(web).get("/metrics")
    assert done.status == 200 and done.headers["content-type"].startswith("text/plain; version=0.0.4"), done.headers
    return {family.name: family for family in parser.text_string_to_metric_families(done.data.decode())}


def value(found: dict[str, Any], name: str, **labels: str) -> float:
    samples = [sample for family in found.values() for sample in family.samples if sample.name == name]
    return next(sample.value for sample in samples if labels.items() <= sample.labels.items())


def test_what_is_told(daemon: Daemon, r, web: Web) -> None:
    daemon.start(retry_delay=0.01, max_attempts=2)
    push(r, {"id": "a", "kind": "sleep"}, {"id": "b", "kind": "sleep", "fail": "fetch_failed"})
    final(r, "a"), final(r, "b")
    push(r, {"id": "c", "kind": "sleep", "seconds": 60})
    until(lambda: value(families(web), "videod_slots_busy", node=daemon.node) == 1, 10, "a slot is busy")
    found = families(web)
    assert value(found, "videod_redis_up") == 1
    assert value(found, "videod_jobs_total", kind="sleep", outcome="done") == 1
    assert value(found, "videod_jobs_total", kind="sleep", outcome="dead") == 1
    assert value(found, "videod_retries_total", kind="sleep") == 1
    assert value(found, "videod_errors_total", code="fetch_failed") == 2
    assert value(found, "videod_queue_length", queue="videod:dead") == 1
    assert value(found, "videod_node_up", node=daemon.node) == 1
    assert value(found, "videod_slots", node=daemon.node) == 4
    assert daemon.stop("--now") == 1
    until(lambda: value(families(web), "videod_queue_length", queue="video_info_queue") == 1, 10, "it waits again")
    daemon.start()
    until(lambda: value(families(web), "videod_node_up", node=daemon.node) == 1, 10, "it is back")
    daemon.kill()
    assert value(families(web), "videod_node_up", node=daemon.node) == 0


def test_the_age_of_a_queue_is_what_was_seen(r, web: Web) -> None:
    """Of messages that no page and no record tells anything of."""
    push(r, "/bare/path.mp4")
    until(lambda: age(families(web)) > 0, 20, "it was seen")
    push(r, "/another.mp4")
    before = age(families(web))
    until(lambda: age(families(web)) > before + 1, 10, "it grows")
    r.delete("video_info_queue")
    assert age(families(web)) == -1


def age(found: dict[str, Any]) -> float:
    """-1 where none is told."""
    samples = found["videod_queue_oldest_seconds"].samples
    return next((one.value for one in samples if one.labels["queue"] == "video_info_queue"), -1)


def test_stages_are_histograms(r, web: Web) -> None:
    counts = {"stage:fetch:0.1": 2, "stage:fetch:5.0": 3, "stage:fetch:more": 1, "stage:fetch:ms": 4_000_500}
    r.hset("videod:counts", mapping={**counts, "fetched": 10**15, "ms": 1500, "cpu_ms": 250, "nonsense": "x"})
    r.hset("videod:counts", mapping={'ended:a"b\\c:done': 1, "stage:x:y": 3, "ended:one": 1})
    found = families(web)
    name = "videod_stage_seconds"
    told = {s.labels["le"]: s.value for s in found[name].samples if s.name == f"{name}_bucket"}
    assert told == {"0.1": 2, "0.5": 2, "1.0": 2, "5.0": 5, "15.0": 5, "60.0": 5, "300.0": 5, "1800.0": 5, "+Inf": 6}
    assert value(found, f"{name}_count", stage="fetch") == 6 and value(found, f"{name}_sum", stage="fetch") == 4000.5
    assert value(found, "videod_fetched_bytes_total") == 1e15
    assert (value(found, "videod_job_seconds_total"), value(found, "videod_cpu_seconds_total")) == (1.5, 0.25)
    assert value(found, "videod_jobs_total", kind='a"b\\c', outcome="done") == 1


def test_without_redis(daemon: Daemon) -> None:
    with short_folder() as folder:
        server = RedisServer(folder)
        server.start()
        daemon.write(redis=server.url)
        web = Web(daemon).start()
        try:
            assert value(families(web), "videod_redis_up") == 1
            server.kill()
            found = families(web)
            assert value(found, "videod_redis_up") == 0 and "videod_jobs" not in found
        finally:
            web.stop()
            server.kill()


# ------------------------------------------------------------- the examples
@pytest.fixture
def known(r, web: Web) -> set[str]:
    """Every name that /metrics can tell."""
    r.hset("videod:counts", mapping={"ended:clip:done": 1, "ended:clip:retry": 1, "error:stalled": 1})
    r.hset("videod:counts", mapping={"stage:fetch:0.1": 1, "stage:fetch:ms": 5})
    r.hset("videod:nodes", "n", json.dumps({"state": "running", "slots": 4}))
    r.hset("videod:page:" + "w" + "x" * 24, mapping={"at": "2026-11-21T10:00:00.000Z"})
    push(r, {"id": "w" + "x" * 24, "url": "/x"})
    return {sample.name for family in families(web).values() for sample in family.samples}


def named(text: str) -> set[str]:
    return set(re.findall(r"\bvideod_[a-z_]+", text))


def test_alerts_name_metrics_that_exist(known: set[str]) -> None:
    yaml = pytest.importorskip("yaml")
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) >= 8 and len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert {"summary", "description"} == set(rule["annotations"]) and "severity" in rule["labels"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert named(rule["expr"]) <= known, rule["expr"]
    if promtool := shutil.which("promtool"):
        done = subprocess.run([promtool, "check", "rules", str(ALERTS)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_names_metrics_that_exist(known: set[str]) -> None:
    board = json.loads(DASHBOARD.read_text())
    panels = board["panels"]
    assert board["uid"] == "videod" and len({panel["id"] for panel in panels}) == len(panels) >= 12
    shown = set[str]()
    for panel in panels:
        for target in panel["targets"]:
            assert target["expr"].count("(") == target["expr"].count(")")
            assert named(target["expr"]) <= known, target["expr"]
            shown |= named(target["expr"])
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    # and nothing that is told is forgotten, but for what the alerts are for
    left = {n.removesuffix("_count").removesuffix("_sum").removesuffix("_bucket") for n in known} - {
        n.removesuffix("_count").removesuffix("_sum").removesuffix("_bucket") for n in shown
    }
    assert left <= {"videod_web", "videod_retries_created"}, left


class Prometheus:
    """One that asks a web process once a second, and judges the alerts as often."""

    def __init__(self, web: Web, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        scraped = {"job_name": "videod", "static_configs": [{"targets": [web.url.removeprefix("http://")]}]}
        conf = folder / "prometheus.yml"  # YAML is what JSON is, too
        conf.write_text(json.dumps({"global": every, "rule_files": [str(ALERTS)], "scrape_configs": [scraped]}))
        argv = ["prometheus", f"--config.file={conf}", f"--storage.tsdb.path={folder / 'tsdb'}", "--log.level=error"]
        self.process = subprocess.Popen([*argv, f"--web.listen-address={self.url.removeprefix('http://')}"])

    def get(self, path: str, **query: str) -> Any:
        done = urllib3.request("GET", f"{self.url}/api/v1/{path}", fields=query, retries=False)
        found = done.json()
        assert found["status"] == "success", (query, found)
        return found["data"]

    def asked(self, expression: str) -> list[Any]:
        return list(self.get("query", query=expression)["result"])

    def up(self) -> bool:
        try:
            return [one["value"][1] for one in self.asked("up")] == ["1"]
        except (urllib3.exceptions.HTTPError, ValueError):  # it begins to serve
            return False

    def state(self, alert: str) -> str:
        rules = [rule for group in self.get("rules")["groups"] for rule in group["rules"]]
        assert all(rule["health"] != "err" for rule in rules), rules
        return next(str(rule["state"]) for rule in rules if rule["name"] == alert)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("prometheus"), reason="no prometheus")
def test_a_prometheus_finds_what_the_examples_ask_for(
    daemon: Daemon, r, redis_server, web: Web, tmp_path: Path
) -> None:
    daemon.start(retry_delay=0.01, max_attempts=2, max_worker=1)
    prometheus = Prometheus(web, tmp_path)
    try:
        until(prometheus.up, 30, "it asks")

        def work() -> bool:  # a rate takes what counts up while somebody looks
            n = work_done[0] = work_done[0] + 1
            push(r, {"id": f"a{n}", "kind": "sleep"}, {"id": f"b{n}", "kind": "sleep", "fail": "fetch_failed"})
            final(r, f"b{n}")
            r.hincrby("videod:counts", "fetched", 1000)
            r.hincrby("videod:counts", "stage:fetch:0.1", 1)
            return bool(prometheus.asked("rate(videod_retries_total[10s]) > 0"))

        work_done = [0]
        until(work, 30, "something was counted")
        push(r, {"id": "c", "kind": "sleep", "seconds": 60}, "/waits.mp4")
        until(lambda: prometheus.asked("videod_queue_oldest_seconds > 1"), 30, "a message waits")
        for panel in json.loads(DASHBOARD.read_text())["panels"]:
            for target in panel["targets"]:
                expression = target["expr"].replace("$__rate_interval", "1m")
                assert prometheus.asked(expression), (panel["title"], expression)
        assert prometheus.state("VideodRedisDown") == "inactive"
        redis_server.kill()
        until(lambda: prometheus.state("VideodRedisDown") == "pending", 30, "Redis is away")
        redis_server.start()
        until(lambda: prometheus.state("VideodRedisDown") == "inactive", 30, "Redis is back")
        daemon.kill()
        until(lambda: prometheus.state("VideodNodeGone") == "pending", 60, "the node is gone")
    finally:
        prometheus.stop()
