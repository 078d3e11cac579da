"""Pages of the sysadmin: the truth, whatever it holds; what they do; who may."""

from __future__ import annotations

import hashlib
import html
import json
import re
from urllib.parse import quote

import pytest

pytest.importorskip("starlette")

from tests.daemon import Daemon, events, final, push, until
from tests.web import Client, Web
from videod.events import stamp

HOSTILE = "<script>alert(1)</script>\"'&amp;\u202e"


# what all who watch are shown of the farm, and what is for admins
SHOWN = ("far", "pauses: tea", "The last hour", "video_info_queue", "All nodes pause: tea")
KEPT = ("one-of-them", "/disk", "<button", "<form", "boss", "/admin/")


def words(page: str) -> str:
    """What a page says, without its markup."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


def test_an_empty_farm(client: Client) -> None:
    for path in ("/admin", "/admin/jobs", "/admin/dead"):
        assert '<a href="/admin" aria-current="page">Operation</a>' in client.page(path), path
    assert "No node serves" in client.page("/admin") and "None." in client.page("/admin/dead")
    assert client.get("/admin/jobs/nope").status == 404


def test_the_farm(daemon: Daemon, r, client: Client) -> None:
    daemon.start(retry_delay=0.01, max_attempts=2)
    push(r, *({"id": f"a{n}", "kind": "sleep"} for n in range(3)), {"id": "b", "kind": "sleep", "fail": "stalled"})
    for ident in ("a0", "a1", "a2", "b"):
        final(r, ident)
    push(r, {"id": "long", "kind": "sleep", "seconds": 60})
    until(lambda: "/admin/jobs/long" in client.page("/admin"), 10, "it is seen to run")
    page = client.page("/admin")
    assert "The last hour: 3 done, 1 failed (25.0 %), 1 tried again" in words(page)
    assert page.count('class="bar-done"') == page.count('class="bar-dead"') == 2  # of the hour and of the day
    assert daemon.node in page and "1 of 4 slots busy" in words(page) and "stalled" in page
    assert "<style" not in page and " style=" not in page and " onclick" not in page


def test_jobs_are_found_and_shown(daemon: Daemon, r, client: Client) -> None:
    daemon.command("start", "prod")
    push(r, {"id": "a", "kind": "sleep"}, {"id": "bad", "kind": "sleep", "fail": "damaged"})
    final(r, "a"), final(r, "bad")
    assert {"/admin/jobs/a", "/admin/jobs/bad"} <= set(re.findall(r'href="([^"]+)"', client.page("/admin/jobs")))
    found = client.page("/admin/jobs?state=dead&kind=sleep&since=2026-01-01T00:00&text=damaged")
    assert "/admin/jobs/bad" in found and '/admin/jobs/a"' not in found
    assert "/admin/jobs/bad" not in client.page("/admin/jobs?until=2026-01-01T00:00")
    for query, said in (("since=soon", "since: is no time"), ("state=x", "is none of"), ("stat=dead", "no parameter")):
        refused = client.get(f"/admin/jobs?{query}")
        assert refused.status == 400 and said in words(page := refused.data.decode()) and "/admin/jobs/bad" not in page
    page = client.page("/admin/jobs/bad")
    assert "damaged" in page and "Run again" in page and "started" in page and "taken from video_info_queue" in page


def test_cancel_and_run_again(daemon: Daemon, r, client: Client) -> None:
    daemon.command("start", "prod")
    push(r, {"id": "a", "kind": "sleep", "seconds": 60})
    until(lambda: r.hget("videod:job:a", "state") == "running", 10, "it runs")
    done = client.post("/admin/jobs/a/cancel", on="/admin/jobs/a")
    assert (done.status, done.headers["location"]) == (303, "/admin/jobs/a")
    assert final(r, "a")["event"] == "cancelled"
    assert client.post("/admin/jobs/a/cancel").status == 409
    assert client.post("/admin/jobs/a/retry").status == 303
    until(lambda: r.hget("videod:job:a", "state") == "running", 10, "it runs again")


def test_pause_and_resume(daemon: Daemon, r, client: Client) -> None:
    daemon.command("start", "prod")
    assert client.post("/admin/pause", {"why": "tea"}).status == 303
    until(lambda: "All nodes pause: tea" in words(client.page("/admin")), 10, "it is told")
    assert client.post("/admin/resume").status == 303
    until(lambda: "paused" not in words(client.page("/admin")), 10, "it goes on")
    assert client.post("/admin/pause", {"node": daemon.node}).status == 303
    assert 'action="/admin/resume"' in client.page("/admin").partition("Works on")[2].partition("</table>")[0]
    assert client.post("/admin/resume", {"node": daemon.node}).status == 303
    assert client.post("/admin/resume", {"node": "other"}).status == 409


def test_a_pause_is_told_as_it_was_asked_for(r, client: Client) -> None:
    """The entry of a node is behind: it says that it pauses, and that it goes on, a moment later."""

    def says(paused: str) -> None:
        entry = {"state": "running", "machine": "another", "slots": 4, "busy": 0, "seen": stamp(), "paused": paused}
        r.hset("videod:nodes", "far", json.dumps(entry))

    def row() -> str:
        return words(client.page("/admin").partition("Works on")[2].partition("</table>")[0])

    for form in ({"node": "far"}, {}):
        says("")
        assert "far running 0 of 4" in row()
        assert client.post("/admin/pause", {**form, "why": "tea"}).status == 303
        assert "far pauses: tea 0 of 4" in row() and "running" not in row()
        says("tea")
        assert "far paused: tea 0 of 4" in row() and ("Resume" in row()) == bool(form)
        assert client.post("/admin/resume", form).status == 303
        assert "far running 0 of 4" in row() and "paus" not in row()


def test_dead_letters(daemon: Daemon, r, client: Client) -> None:
    daemon.command("start", "prod")
    push(r, *({"id": f"d{n}", "kind": "sleep", "fail": "damaged"} for n in range(4)))
    until(lambda: r.llen("videod:dead") == 4, 10, "all are dead")
    assert all(f"Drop d{n}" in client.page("/admin/dead") for n in range(4))
    assert client.post("/admin/dead", {"do": "drop", "id": "d1"}).status == 303
    assert client.post("/admin/dead", {"do": "retry", "id": "d2"}).status == 303
    until(lambda: len([e for e in events(r, "d2") if e["event"] == "dead"]) == 2, 10, "it ran again")
    assert "Drop d1" not in client.page("/admin/dead")
    assert client.post("/admin/dead", {"do": "retry", "all": "yes"}).status == 303
    until(lambda: r.llen("videod:dead") == 3, 10, "all are dead again")
    assert client.post("/admin/dead", {"do": "drop", "all": "yes"}).status == 303
    assert r.llen("videod:dead") == 0
    for form in ({}, {"do": "drop"}, {"do": "x", "all": "yes"}):
        assert client.post("/admin/dead", form).status == 400


def test_every_text_is_hostile(r, client: Client) -> None:
    """Ids, kinds, errors, logs and nodes as nobody of ours would write them."""
    error = json.dumps({"code": HOSTILE, "message": HOSTILE, "detail": HOSTILE})
    outputs = [{"n": n, "url": "javascript:alert(1)", "bytes": 1, "warning": HOSTILE} for n in (1, HOSTILE)]
    record = {"state": "dead", "kind": HOSTILE, "node": HOSTILE, "taken_at": HOSTILE, "error": error, "log": HOSTILE}
    record |= {"outputs": json.dumps(outputs), "warnings": json.dumps([HOSTILE]), "message": HOSTILE}
    record |= {"stages": json.dumps({HOSTILE: 1})}
    r.hset("videod:job:x", mapping=record)
    r.hset(f"videod:job:{HOSTILE}", mapping={"state": HOSTILE})
    r.xadd("videod:events", {"id": "x", "event": "y", "json": json.dumps({"event": HOSTILE, "why": HOSTILE})})
    r.lpush("videod:dead", json.dumps({"id": HOSTILE, "error": {"code": HOSTILE}, "at": HOSTILE}), '{"error": 1}', "[]")
    r.hset(
        "videod:nodes", HOSTILE, json.dumps({"state": HOSTILE, "jobs": [HOSTILE], "paused": HOSTILE, "slots": HOSTILE})
    )
    r.hset("videod:nodes", "n", json.dumps({"since": 5, "jobs": 7, "slots": -1, "state": [], "paused": {}}))
    r.hset("videod:counts", mapping={f"ended:{HOSTILE}:done": 1, f"error:{HOSTILE}": 1, f"stage:{HOSTILE}:ms": 1})
    r.lpush("video_info_queue", HOSTILE, json.dumps({"id": "ok", "url": HOSTILE}))
    for path in ("/admin", "/admin/jobs", "/admin/jobs/x", "/admin/dead", f"/admin/jobs?text={quote(HOSTILE)}"):
        page = client.page(path)
        assert "<script>alert" not in page and 'javascript:alert(1)"' not in page, path
    assert client.get(f"/admin/jobs/{quote(HOSTILE, safe='')}").status == 404


def test_for_admins_only(daemon: Daemon, r) -> None:
    tokens = {"eye": "watch", "sub": "submit", "boss": "admin"}
    lines = "".join(f"\n    {n} {role} {hashlib.sha256(n.encode()).hexdigest()}" for n, role in tokens.items())
    daemon.sections = f"[web]\ntokens ={lines}\n"
    web = Web(daemon).start()
    try:
        for path in ("/admin/jobs", "/admin/jobs/x", "/admin/dead"):
            for token, wanted in (("eye", 403), ("sub", 403), ("", 401)):
                asking = Client(web, {"Authorization": f"Bearer {token}"} if token else {})
                assert asking.get(path).status == wanted, (path, token)
        assert Client(web, {}).get("/admin").status == 401
        entry = {"state": "running", "jobs": ["one-of-them"], "lacks": "room on /disk", "seen": stamp(), "slots": 4}
        r.hset("videod:nodes", "far", json.dumps(entry))
        r.hset("videod:paused", "*", json.dumps({"why": "tea", "by": "boss", "at": stamp()}))
        assert all(
            text in (page := Client(web, {"Authorization": "Bearer boss"}).page("/admin")) for text in (*KEPT, *SHOWN)
        ), page
        # who may watch only looks
        page = Client(web, {"Authorization": "Bearer eye"}).page("/admin")
        assert all(text in page for text in SHOWN) and not any(text in page for text in KEPT), page
        home = Client(web, {"Authorization": "Bearer eye"}).page("/")
        assert "You may look on" in home and 'href="/admin"' in home
        assert "/admin" not in Client(web, {"Authorization": "Bearer sub"}).page("/")
        for path in ("/admin/pause", "/admin/resume", "/admin/dead", "/admin/jobs/x/cancel", "/admin/jobs/x/retry"):
            assert Client(web, {"Authorization": "Bearer sub"}).ask("POST", path).status == 403
    finally:
        web.stop()


def test_forms_of_other_sites_do_nothing(r, client: Client) -> None:
    client.token("/admin")
    for path in ("/admin/pause", "/admin/dead", "/admin/jobs/x/cancel"):
        assert client.ask("POST", path, fields={"all": "yes", "do": "drop"}, encode_multipart=False).status == 403
        evil = {"Origin": "https://evil.example"}
        fields = {"token": client.token("/admin"), "all": "yes", "do": "drop"}
        assert client.ask("POST", path, fields=fields, encode_multipart=False, headers=evil).status == 403
    assert not r.exists("videod:paused")
