"""Redis as a cluster: with one {tag} in all names the daemon serves from the node that has its slot."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest
import redis

from tests.daemon import Daemon, until
from tests.redis_servers import Tcp, short_folder

SLOTS = 16384
NAMES = {"queue": "{videod}queue", "batch_queue": "{videod}batch", "abnormal_queue": "{videod}abnormal"}


class Cluster:
    """Masters that share the slots evenly."""

    def __init__(self, size: int) -> None:
        self._undo = contextlib.ExitStack()
        folder = self._undo.enter_context(short_folder())
        self.nodes = [Tcp(folder, "--cluster-enabled", "yes") for _ in range(size)]
        for node in self.nodes:
            self._undo.callback(node.kill)

    def __enter__(self) -> Cluster:
        each = SLOTS // len(self.nodes)
        for n, node in enumerate(self.nodes):
            node.start()
            last = SLOTS - 1 if node is self.nodes[-1] else (n + 1) * each - 1
            client = node.client()
            client.execute_command("CLUSTER", "ADDSLOTSRANGE" if _ranges(client) else "ADDSLOTS",
                                   *([n * each, last] if _ranges(client) else range(n * each, last + 1)))  # fmt: skip
            # two nodes that believe in the same epoch would not agree
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        until(lambda: all("cluster_state:ok" in str(n.client().execute_command("CLUSTER INFO")) or
                          n.client().execute_command("CLUSTER INFO").get("cluster_state") == "ok"
                          for n in self.nodes), 30, "the cluster agrees")  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def owner(self, key: str) -> Tcp:
        for node in self.nodes:
            with contextlib.suppress(redis.exceptions.ResponseError):
                node.client().exists(key)
                return node
        raise AssertionError(key)


def _ranges(client: redis.Redis) -> bool:
    return not str(client.info("server")["redis_version"]).startswith("6")


@pytest.fixture(params=[1, 3])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster(request.param) as made:
        yield made


def told(client: redis.Redis, ident: str) -> list[str]:
    entries = client.xrange("{videod}:events")
    return [fields["event"] for _, fields in entries if fields["id"] == ident]


def test_a_cluster_with_one_tag(cluster: Cluster, daemon: Daemon) -> None:
    owner = cluster.owner("{videod}:")
    client = owner.client()
    daemon.start(redis=owner.url, prefix="{videod}:", **NAMES)
    messages = [
        {"id": "a", "kind": "sleep", "reply_to": "reply:{videod}:a"},
        {"id": "b", "kind": "sleep", "reply_to": "reply:b"},
        {"id": "c", "kind": "nope", "reply_to": "reply:{videod}:c"},
        {"id": "d", "kind": "sleep"},
    ]
    for n, message in enumerate(messages):
        client.lpush(("{videod}queue", "{videod}batch")[n % 2], json.dumps(message))
    until(lambda: all({"done", "dead"} & set(told(client, i)) for i in "abcd"), 20, "all ended")
    ends = {ident: [event for event in told(client, ident) if event in ("done", "dead")] for ident in "abcd"}
    assert ends == {"a": ["done"], "b": ["done"], "c": ["dead"], "d": ["done"]}
    assert [json.loads(text)["event"] for text in client.lrange("reply:{videod}:a", 0, -1)] == ["done", "started"]
    assert client.llen("{videod}:dead") == 1
    assert "reply:b: give all names one {tag}: events go to the stream only" in daemon.log
    for verb in (("status",), ("list", "-e", "prod"), ("show", "a"), ("dead", "-e", "prod"), ("check", "prod")):
        done = daemon.command(*verb)
        assert done.returncode == 0, done
    client.lpush("{videod}queue", json.dumps({"id": "e", "kind": "sleep", "seconds": 60}))
    until(lambda: "started" in told(client, "e"), 10, "runs")
    assert daemon.stop("--now") == 1
    assert client.llen("{videod}queue") == 1
    client.delete("{videod}queue")


def test_names_without_a_tag_and_the_wrong_node(daemon: Daemon) -> None:
    with Cluster(3) as cluster:
        owner = cluster.owner("{videod}:")
        daemon.write(redis=owner.url)
        done = daemon.command("start", "prod")
        assert (done.returncode, len(done.stderr.splitlines())) == (6, 1), done
        assert "must all carry the same {tag}" in done.stderr
        wrong = next(node for node in cluster.nodes if node is not owner)
        daemon.write(redis=wrong.url, prefix="{videod}:", **NAMES)
        for verb in ("start", "check"):
            done = daemon.command(verb, "prod")
            assert done.returncode == 1, done
            assert f"set 'redis' to 127.0.0.1:{owner.port}" in done.stderr + done.stdout
        assert len(daemon.command("start", "prod").stderr.splitlines()) == 1


def test_a_batch_on_a_cluster(daemon: Daemon) -> None:
    with Cluster(1) as cluster:
        client = cluster.nodes[0].client()
        task = json.dumps({"task_id": "t", "task_info": [{"fn": "a", "url": "/none"}]})
        for prefix, answered in (("{videod}resp_", True), ("resp_", False)):
            daemon.start(redis=cluster.nodes[0].url, prefix="{videod}:", batch_reply_prefix=prefix, **NAMES)
            client.lpush("{videod}batch", task)
            ends = 1 if answered else 2
            until(lambda ends=ends: told(client, "batch:t").count("dead") == ends, 20, "it ended")
            said = client.lrange(f"{prefix}t", 0, -1)
            assert (said[-1:] + said[:1]) == (["start", "end"] if answered else [])
            assert len(said) == (3 if answered else 0)
            assert daemon.stop() == 0
        assert "resp_t: no list that Redis lets us write to" in daemon.log
