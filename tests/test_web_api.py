"""The API: what it tells and does, who may, and that it does what its description says, whatever comes in."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

pytest.importorskip("starlette")

from tests.daemon import ROOT, Daemon, events, final, push, until
from tests.web import Client, Web, serving
from videod.config import Settings, load
from videod.jobqueue import Connection
from videod.jobqueue.browse import Browse
from videod.jobqueue.letters import Letters
from videod.jobqueue.search import MOST_RECORDS, Search, Wanted

API = "/api/v1"
SECRET = "hunter2-very-secret"
TOKENS = {"eye": "watch", "one": "submit", "two": "submit", "boss": "admin"}
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture
def closed(daemon: Daemon, r) -> Iterator[Web]:
    """A site with a login: one token for each role."""
    lines = "".join(f"\n    {n} {role} {hashlib.sha256(n.encode()).hexdigest()}" for n, role in TOKENS.items())
    daemon.sections = f"[web]\ntokens ={lines}\n"
    with serving(daemon) as made:
        yield made


class Program:
    """Asks the API."""

    def __init__(self, web: Web, token: str = "") -> None:
        self._client = Client(web, {"Authorization": f"Bearer {token}"} if token else {})

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        more = (
            {"body": json.dumps(body).encode(), "headers": {"Content-Type": "application/json"}}
            if body is not None
            else {}
        )
        more["headers"] = {**more.get("headers", {}), **headers}
        done = self._client.ask(method, API + path, **more)
        kind = done.headers["content-type"]
        assert kind == ("application/json" if done.status < 400 else "application/problem+json"), (done.status, kind)
        return done.status, json.loads(done.data)

    def get(self, path: str) -> Any:
        status, found = self.ask("GET", path)
        assert status == 200, found
        return found

    def post(self, path: str, body: Any = None) -> Any:
        status, found = self.ask("POST", path, body)
        assert status in (200, 201), found
        return found


# ------------------------------------------------------------- what it tells
def test_status_nodes_queues_figures(daemon: Daemon, r, web: Web) -> None:
    daemon.command("start", "prod")
    ours = Program(web)
    push(r, {"id": "a", "kind": "sleep"}, {"id": "b", "kind": "sleep", "fail": "damaged"})
    final(r, "a"), final(r, "b")
    status = ours.get("/status")
    assert (status["nodes"], status["slots"], status["dead"], status["waiting"]) == (1, 4, 1, 0)
    assert ours.get("/nodes")["nodes"][daemon.node]["state"] == "running"
    assert {queue["name"]: queue["length"] for queue in ours.get("/queues")}["videod:dead"] == 1
    figures = ours.get("/figures")
    assert {(f["kind"], f["outcome"]): f["number"] for f in figures["ended"]} == {
        ("sleep", "done"): 1,
        ("sleep", "dead"): 1,
    }
    assert len(figures["hours"]) == 24 and len(figures["minutes"]) == 12
    assert sum(bar["ended"]["done"] for bar in figures["minutes"]) == 1


def test_jobs_are_found(daemon: Daemon, r, web: Web) -> None:
    daemon.command("start", "prod")
    ours = Program(web)
    for n in range(5):
        push(r, {"id": f"a{n}", "kind": "sleep"})
        final(r, f"a{n}")
    push(r, {"id": "bad", "kind": "sleep", "fail": "damaged"}, "/nowhere.mp4", queue="video_info_queue")
    final(r, "bad")
    until(lambda: r.llen("videod:dead") == 2, 10, "both are dead")
    daemon.command("pause")
    until(lambda: "paused" in daemon.log, 10, "it pauses")
    push(r, {"id": "late", "kind": "clip", "url": f"http://u:{SECRET}@192.0.2.1/x"})

    def ids(query: str) -> list[str]:
        return [job["id"] for job in ours.get(f"/jobs?{query}")["jobs"]]

    assert ids("")[0] == "late" and len(ids("")) == 8
    assert ids("state=done") == ["a4", "a3", "a2", "a1", "a0"]
    assert ids("state=waiting") == ["late"]
    assert ids("kind=sleep&state=dead") == ["bad"] == ids("text=DAMAGED")
    assert ids(f"node={daemon.node}&state=done&limit=2") == ["a4", "a3"]
    assert ids("node=other") == [] == ids("until=2026-01-01T00:00:00Z") == ids("since=2999-01-01T00:00:00%2B01:00")
    assert len(ids("since=2026-01-01T00:00:00Z")) == 7
    page = ours.get("/jobs?state=done&limit=2")
    second = ours.get(f"/jobs?state=done&limit=2&before={page['before'].replace(' ', '%20')}")
    assert [job["id"] for job in second["jobs"]] == ["a2", "a1"] and page["complete"]
    for wrong in ("x", "2026-11-21T10:00:00.000Z", "%00"):
        assert ours.ask("GET", f"/jobs?before={wrong}")[0] == 422
    # what is hidden cannot be guessed letter by letter
    assert ids("text=192.0.2.1") == ["late"] and ids(f"text={SECRET[:4]}") == []
    shown = ours.get("/jobs/late")
    assert shown["state"] == "waiting" and SECRET not in json.dumps(shown)


def test_one_job_whole(daemon: Daemon, r, web: Web) -> None:
    daemon.start(retry_delay=0.01, max_attempts=2)
    push(r, {"id": "a", "kind": "sleep", "fail": "fetch_failed", "upload": f"http://u:{SECRET}@192.0.2.1/x"})
    final(r, "a")
    found = Program(web).get("/jobs/a")
    assert [event["event"] for event in found["events"]] == ["started", "retry", "started", "dead"]
    assert found["attempt"] == 2 and found["error"]["code"] == "fetch_failed" and "fetch_failed" in found["log"]
    assert found["stages"] == {} and found["seconds"] >= 0
    assert SECRET not in found["message"] and "token" not in found


# ------------------------------------------------------------- what it does
def test_push_cancel_retry(daemon: Daemon, r, web: Web) -> None:
    daemon.command("start", "prod")
    ours = Program(web)
    assert ours.post("/jobs", {"id": "a", "kind": "sleep", "seconds": 60}) == {"id": "a"}
    assert json.loads(r.hget("videod:job:a", "message") or '{"public_only":true}')["public_only"] is True
    until(lambda: r.hget("videod:job:a", "state") == "running", 10, "it runs")
    assert ours.post("/jobs/a/cancel") == {"id": "a", "state": "cancelled"}
    assert ours.ask("POST", "/jobs/a/cancel")[0] == 409
    assert ours.post("/jobs/a/retry") == {"id": "a", "state": "queued"}
    until(lambda: r.hget("videod:job:a", "state") == "running", 10, "it runs again")
    assert ours.ask("POST", "/jobs/a/retry")[0] == 409
    assert ours.post("/jobs/a/cancel")["state"] == "cancelled"
    for path in ("/jobs/nope/cancel", "/jobs/nope/retry"):
        assert ours.ask("POST", path)[0] == 404
    for more in ({}, {"id": None}):
        assert final(r, ours.post("/jobs", {"kind": "sleep", **more})["id"])["event"] == "done"
    for body in ({"kind": "nope"}, {"url": "ftp://x"}, {"kind": "sleep", "strat": 1}, {}):
        assert ours.ask("POST", "/jobs", body)[0] == 422, body
    for wrong in ({"strat": 1}, {"kind": "clip", "ned": 2}):
        told = ours.ask("POST", "/jobs", {"url": "http://8.8.8.8/x", "start": 1, **wrong})[1]["detail"]
        assert "did you mean" in told and not told.endswith("?."), told


def test_pause_and_resume(daemon: Daemon, r, web: Web) -> None:
    daemon.command("start", "prod")
    ours = Program(web)
    assert ours.post("/pause", {"why": "tea"}) == {"node": "*"}
    until(lambda: ours.get("/nodes")["nodes"][daemon.node]["paused"] == "tea", 10, "it pauses")
    assert ours.get("/status")["paused"] == "tea"
    assert ours.post("/resume", {}) == {"node": "*"}
    assert ours.post("/pause", {"node": daemon.node})["node"] == daemon.node
    assert ours.ask("POST", "/resume", {"node": "other"})[0] == 409
    assert ours.ask("POST", "/pause", {"node": "other"})[0] == 404 and not r.hexists("videod:paused", "other")
    assert ours.post("/resume", {"node": daemon.node})["node"] == daemon.node


def test_dead_letters(daemon: Daemon, r, web: Web) -> None:
    daemon.command("start", "prod")
    ours = Program(web)
    push(r, *({"id": f"d{n}", "kind": "sleep", "fail": "damaged"} for n in range(4)))
    until(lambda: r.llen("videod:dead") == 4, 10, "all are dead")
    assert ours.get("/dead?limit=3")["length"] == 4 and len(ours.get("/dead?limit=3")["dead"]) == 3
    assert ours.post("/dead/drop", {"ids": ["d1", "nope"]}) == {"ids": ["d1"]}
    assert ours.post("/dead/retry", {"ids": ["d2"]}) == {"ids": ["d2"]}
    until(lambda: len([e for e in events(r, "d2") if e["event"] == "dead"]) == 2, 10, "it ran again")
    assert sorted(ours.post("/dead/retry", {"all": True})["ids"]) == ["d0", "d2", "d3"]
    until(lambda: r.llen("videod:dead") == 3, 10, "all are dead again")
    assert len(ours.post("/dead/drop", {"all": True})["ids"]) == 3
    for body in (
        {},
        {"all": True, "ids": ["d1"]},
        {"all": False},
        {"ids": []},
        {"ids": "d1"},
        {"ids": ["../x"]},
        {"which": 1},
    ):
        assert ours.ask("POST", "/dead/drop", body)[0] == 422, body


# ------------------------------------------------------------- who may
def test_roles(closed: Web) -> None:
    asked = {
        ("GET", "/status"): "watch", ("GET", "/nodes"): "watch", ("GET", "/queues"): "watch",
        ("GET", "/jobs"): "watch", ("GET", "/figures"): "watch", ("GET", "/dead"): "admin",
        ("POST", "/jobs"): "submit", ("POST", "/jobs/x/cancel"): "submit", ("POST", "/jobs/x/retry"): "submit",
        ("POST", "/pause"): "admin", ("POST", "/resume"): "admin", ("POST", "/dead/retry"): "admin",
        ("POST", "/dead/drop"): "admin",
    }  # fmt: skip
    order = ("watch", "submit", "admin")
    for (method, path), needed in asked.items():
        for token, role in TOKENS.items():
            status, _ = Program(closed, token).ask(method, path, {} if method == "POST" else None)
            assert (status == 403) == (order.index(role) < order.index(needed)), (method, path, role, status)
        for program in (Program(closed), Program(closed, "wrong")):
            assert program.ask(method, path, {} if method == "POST" else None)[0] == 401
    described = Program(closed).get("/openapi.json")
    paths = {(method.upper(), path.removeprefix(API)) for path, ops in described["paths"].items() for method in ops}
    assert {(method, path.replace("/x/", "/{id}/")) for method, path in asked} | {("GET", "/jobs/{id}")} == paths


def test_nobody_sees_the_jobs_of_others(closed: Web, daemon: Daemon, r) -> None:
    daemon.write(allow_hosts="* 127.0.0.1")
    one, two, eye, boss = (Program(closed, name) for name in ("one", "two", "eye", "boss"))
    status, made = one.ask("POST", "/jobs", {"url": "http://8.8.8.8/film.mp4", "start": 1, "end": 2})
    assert status == 201, made
    job = f"/jobs/{made['id']}"
    message = json.loads(r.lindex(f"video_info_queue@{daemon.node}", 0))
    assert message["public_only"] is True and message["upload"].endswith(made["id"] + "/{id}-{n}.{ext}")
    assert one.get(job)["state"] == "queued" and boss.get(job)["state"] == "waiting"
    assert not {"node", "log", "message", "origin"} & set(one.get(job))
    for program in (two, eye):
        assert program.ask("GET", job)[0] == 404 and program.get("/jobs")["jobs"] == []
        assert program.get("/nodes")["nodes"] == {}
    assert two.ask("POST", f"{job}/cancel")[0] == two.ask("POST", f"{job}/retry")[0] == 404
    assert one.post(f"{job}/cancel")["state"] == "cancelled"
    assert [found["id"] for found in one.get("/jobs?state=cancelled")["jobs"]] == [made["id"]]


@pytest.mark.parametrize("more", [
    {"id": "mine"}, {"node": "n"}, {"upload": "file:///tmp/x"}, {"reply_to": "x"}, {"url": "/etc/passwd"},
    {"url": "file:///etc/passwd"}, {"kind": "recording", "recorder": "10.0.0.1"}, {"public_only": False},
    {"clips": [{"start": 1, "upload": "/tmp/x"}]}, {"url": "http://10.0.0.1/x"}, {"url": "http://127.0.0.1/x"},
    {"task_id": "t", "task_info": []}, {"kind": "download", "files": [{"url": "http://8.8.8.8/x", "name": "x"}]},
    {"again": True}, {"callback": "http://10.1.2.3/x"}, {"url": "s3://bucket/x"},
])  # fmt: skip
def test_what_only_admins_may_say(closed: Web, r, more: dict[str, Any]) -> None:
    body = {"url": "http://8.8.8.8/x.mp4", **more}
    assert Program(closed, "one").ask("POST", "/jobs", body)[0] == 422
    assert not list(r.scan_iter("video_info_queue*")) and not list(r.scan_iter("videod:page*"))


def test_another_site_cannot_ask_in_somebodys_name(web: Web, r) -> None:
    client = Client(web)
    client.token()  # a browser that was here
    body = {"body": b'{"kind":"sleep"}', "headers": {"Content-Type": "application/json"}}
    for more in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {}, {"X-CSRF-Token": "0" * 64}):
        done = client.ask("POST", f"{API}/jobs", body=body["body"], headers={**body["headers"], **more})
        assert done.status == 403, more
    good = {**body["headers"], "Origin": web.url, "X-CSRF-Token": client.token()}
    assert client.ask("POST", f"{API}/jobs", body=body["body"], headers=good).status == 201
    plain = urllib3.request(
        "POST", f"{web.url}{API}/jobs", body=b'{"kind":"sleep"}', headers={"Content-Type": "text/plain"}
    )
    assert plain.status == 415 and r.llen("video_info_queue") == 1


# ------------------------------------------------------------- bounds
def begun(web: Web, path: str, length: int, body: bytes, more: str = "") -> socket.socket:
    """A request whose body is not whole."""
    made = socket.create_connection(("127.0.0.1", web.port), 20)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}"
    made.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + body)
    return made


def rest(one: socket.socket) -> bytes:
    came = b""
    with contextlib.suppress(ConnectionResetError):  # what was sent is not all read there: the end may be hard
        while piece := one.recv(65536):
            came += piece
    return came


def resident(web: Web) -> int:
    """MiB."""
    return int(Path(f"/proc/{web.process.pid}/statm").read_text().split()[1]) * 4096 >> 20


def test_who_may_not_ask_fills_no_memory(closed: Web) -> None:
    nobody = Program(closed)
    assert nobody.ask("GET", "/status")[0] == 401
    before = resident(closed)
    held = [begun(closed, f"{API}/jobs", 1 << 20, b" " * 1_000_000) for _ in range(150)]
    for one in held:
        answer = rest(one)  # which ends: the connection is closed
        assert answer.startswith(b"HTTP/1.1 401 ") and b"connection: close" in answer.lower()
        one.close()
    assert resident(closed) - before < 80
    # nor does who waits to be asked for the body
    with begun(closed, f"{API}/jobs", 100, b"", "Expect: 100-continue\r\n") as one:
        assert rest(one).startswith(b"HTTP/1.1 401 ")


def test_a_body_that_never_ends(daemon: Daemon, r) -> None:
    daemon.write(stall_timeout=1)
    made = Web(daemon).start()
    try:
        with begun(made, f"{API}/jobs", 100, b"{") as one:
            assert rest(one).startswith(b"HTTP/1.1 408 ")
        with begun(made, f"{API}/nosuch", 100, b"{") as one:
            assert rest(one).startswith(b"HTTP/1.1 404 ")
    finally:
        assert made.stop() == 0


def test_where_nothing_is(closed: Web) -> None:
    status, told = Program(closed).ask("GET", "/nosuch")
    assert (status, told["detail"]) == (404, f"There is nothing at this address: see {API}/openapi.json.")
    for token in ("", "wrong"):
        assert "`Authorization: Bearer TOKEN`" in Program(closed, token).ask("GET", "/status")[1]["detail"]


def test_a_fault_is_an_answer(daemon: Daemon, r) -> None:
    made, ident = Web(daemon).start(), "w" + "x" * 24
    page = {"owner": "~x", "name": "a", "upload": "", "message": "no JSON", "at": "never"}
    r.hset(f"videod:page:{ident}", mapping=page)
    try:
        client = Client(made)
        for _ in range(2):  # the connection is as good as before
            done = client.get(f"/j/{ident}", headers={"Accept": "application/json"})
            assert (done.status, done.headers["content-type"]) == (500, "application/problem+json")
            assert "connection" not in done.headers and "The log says what" in done.json()["detail"]
        page = client.get(f"/j/{ident}")
        assert page.status == 500 and b"The log says what" in page.data and "content-security-policy" in page.headers
    finally:
        assert made.stop() == 0
    assert made.log.count("fault: GET") == 3


@pytest.fixture
def connection(daemon: Daemon, r) -> Iterator[Connection]:
    daemon.write()
    made = Connection(_settings(daemon))
    yield made
    made.close()


@pytest.fixture
def search(daemon: Daemon, connection: Connection) -> Search:
    return Search(_settings(daemon), connection, Browse(_settings(daemon), connection))


@pytest.fixture
def letters(daemon: Daemon, connection: Connection) -> Letters:
    return Letters(_settings(daemon), connection)


def _settings(daemon: Daemon) -> Settings:
    found: Settings = load(str(daemon.ini)).settings("prod")
    return found


def records(r, first: int, end: int) -> None:
    with r.pipeline(transaction=False) as pipe:
        for n in range(first, end):
            pipe.hset(f"videod:job:j{n}", mapping={"state": "done", "taken_at": f"{n:05d}"})
        pipe.execute()


def test_a_search_ends_whatever_there_is(r, search: Search) -> None:
    records(r, 0, 2000)
    whole, before, pages = list[str](), "", 0
    while pages < 30:
        page = search.find(Wanted(before=before), 100)
        whole += [job["id"] for job in page.jobs]
        before, pages = page.before, pages + 1
        if not before:
            break
    assert whole == [f"j{n}" for n in reversed(range(2000))] and page.complete
    records(r, 2000, MOST_RECORDS + 100)
    found = search.find(Wanted(), 10)
    assert not found.complete and len(found.jobs) == 10 and found.before
    # of those not all are looked at; a typed id, and what happened last, are
    hidden = {f"j{n}" for n in range(MOST_RECORDS)} - {job["id"] for job in search.find(Wanted(text="j"), 3000).jobs}
    one, two = sorted(hidden, key=lambda ident: (len(ident), ident))[-2:]  # in no other's id
    r.xadd("videod:events", {"id": one, "json": "{}"})
    assert one in {job["id"] for job in search.find(Wanted(text="j"), 3000).jobs}
    assert [job["id"] for job in search.find(Wanted(text=two), 10).jobs] == [two]


def test_what_waits_and_since_when(r, search: Search) -> None:
    assert all(queue["oldest_at"] is None for queue in search.queues())
    r.hset("videod:page:" + "w" + "x" * 24, mapping={"at": "2026-11-21T10:00:00.000Z"})
    push(r, {"id": "w" + "x" * 24, "url": "/x"}, {"id": "young", "url": "/x"})
    push(r, "not JSON at all", queue="batch_download_tasks")
    told = {queue["name"]: queue for queue in search.queues()}
    assert told["video_info_queue"] == {
        "name": "video_info_queue",
        "length": 2,
        "oldest_at": "2026-11-21T10:00:00.000Z",
    }
    assert told["batch_download_tasks"]["length"] == 1 and told["batch_download_tasks"]["oldest_at"] is None


def test_strange_entries_are_told_as_they_are(r, search: Search, letters: Letters) -> None:
    r.rpush("videod:dead", "no JSON", "[1]", b"\xff", '{"id":"a","raw":"{}"}')
    entries, length = letters.newest(10)
    assert length == 4 and entries[3]["id"] == "a"
    assert letters.drop_of(["a"]) == ["a"] and r.llen("videod:dead") == 3
    r.xadd("videod:events", {"id": "a", "event": "x", "json": "no JSON"})
    assert search.events("a") == [{}]
    assert set(letters.by_id()) == set()


def test_a_pause_holds_whatever_its_entry_says(daemon: Daemon, r, web: Web) -> None:
    ours = Program(web)
    for entry in ("no JSON", "[]", '{"why":7}', '{"why":""}', b"\xff"):
        r.hset("videod:paused", mapping={"*": entry, "n": entry})
        why = "7" if "7" in str(entry) else "somebody said so"
        assert ours.get("/status")["paused"] == ours.get("/nodes")["paused"] == why
        assert f"All nodes pause: {why}" in Client(web).page("/admin")
        assert Client(web).get("/metrics").status == 200
        assert why in daemon.command("nodes", "-e", "prod").stdout
    assert ours.post("/resume", {}) == {"node": "*"} and not r.exists("videod:paused")


STRANGE = [
    '{"raw":"{}"}', '{"id":7,"error":"x"}', '{"id":null,"at":5}', '{"id":"\\ud800","error":{"message":"\\udfff"}}',
    '{"id":"deep","error":{"message":' + "[" * 3000 + "]" * 3000 + "}}",
    '{"id":"n","error":{"code":NaN,"message":1e999}}', '{"id":"b64","raw_base64":7}', '{"id":"b64","raw_base64":"?"}',
]  # fmt: skip


def test_no_message_or_record_breaks_a_list(daemon: Daemon, r, web: Web) -> None:
    daemon.start(max_attempts=1)
    half = r'{"id":"half","kind":"sleep","fail":"damaged","meta":{"note":"\ud800"},"note\udc00":1}'
    push(r, half, r'{"id":"url","url":"http://\ud800/","start":1,"end":2}', r'{"id":"k","kind":"\ud800","url":"/x"}')
    until(lambda: r.llen("videod:dead") == 3, 10, "all are dead")
    r.rpush("videod:dead", *STRANGE)
    fields = {"percent": "abc", "attempt": "nan", "seconds": "inf", "error": "[1]", "outputs": "{", "stages": "7"}
    r.hset("videod:job:odd", mapping={**fields, "message": b"\xff", "taken_at": "never"})
    r.hset("videod:job:none", "percent", "")
    parts = {"stages": '{"cut":"x","fetch":1}', "outputs": '[1,{"url":5,"n":1},{"url":"/x","n":1,"bytes":"many"}]'}
    r.hset("videod:job:parts", mapping={**parts, "state": b"\xff", "origin": b"\xff", "token": b"\xff"})
    daemon.command("pause")
    until(lambda: "paused" in daemon.log, 10, "it pauses")
    push(r, r'{"id":"late","kind":"\ud800","url":"/x"}')
    ours, client = Program(web), Client(web)
    assert ours.get("/dead")["length"] == 3 + len(STRANGE)
    assert {"odd", "none", "half"} <= {job["id"] for job in ours.get("/jobs?limit=500")["jobs"]}
    assert ours.ask("GET", "/jobs?text=half")[0] == 200
    for ident in ("half", "url", "k", "odd", "none", "parts"):
        assert ours.get(f"/jobs/{ident}")["id"] == ident
        client.page(f"/admin/jobs/{ident}")
    for path in ("/admin", "/admin/jobs", "/admin/jobs?text=a", "/admin/dead"):
        client.page(path)
    assert daemon.command("list").returncode == 0
    for verb in ("cancel", "retry"):
        assert ours.ask("POST", f"/jobs/parts/{verb}")[0] == 409
    assert ours.ask("POST", "/jobs/b64/retry")[0] == 404
    assert daemon.command("retry", "b64").returncode == 1
    for more in ((), ("--json",)):
        done = daemon.command("dead", *more)
        assert done.returncode == 0 and "damaged" in done.stdout, done
    assert "b64" not in ours.post("/dead/retry", {"ids": ["b64", "n"]})["ids"]
    assert len(ours.post("/dead/drop", {"all": True})["ids"]) >= 3 and ours.get("/dead")["length"] == 0
    r.rpush("videod:dead", "no JSON", '{"id":""}')
    assert daemon.command("retry", "--all").stdout == "queued 0\n" and r.llen("videod:dead") == 2


# ------------------------------------------------------------- its description
def schemathesis(web: Web, folder: Path, *more: str) -> None:
    if not (program := shutil.which("schemathesis", path=str(SCHEMATHESIS.parent))):
        pytest.skip("needs schemathesis")
    command = [program, "--config-file", str(ROOT / "tests/schemathesis.toml"), "run", f"{web.url}{API}/openapi.json"]
    done = subprocess.run(
        [*command, "--seed", "1", "--suppress-health-check", "all", "--no-color", *more],
        capture_output=True, text=True, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_schemathesis(daemon: Daemon, r, web: Web, tmp_path: Path) -> None:
    daemon.start(max_attempts=1)
    push(r, {"id": "0", "kind": "sleep"}, {"id": "1", "kind": "sleep", "fail": "damaged"})
    final(r, "1")
    schemathesis(web, tmp_path, "--max-examples", "5", "--phases", "examples,coverage,fuzzing")


@pytest.mark.long
def test_schemathesis_at_length(daemon: Daemon, r, web: Web, tmp_path: Path) -> None:
    daemon.start(max_attempts=1)
    push(r, {"id": "0", "kind": "sleep"}, {"id": "1", "kind": "sleep", "fail": "damaged"})
    final(r, "1")
    schemathesis(web, tmp_path, "--max-examples", "100")
