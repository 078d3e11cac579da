"""Who may do what on the web side: users, tokens, a proxy; two who must not see each other; forgeries."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3

from tests.daemon import Daemon, until
from tests.media_fixtures import Studio
from tests.web import TUS, Client, Web, serving
from videod.config import Settings
from videod.config.visitors import IN_THE_CLEAR, LEAST_KEY

pytest.importorskip("starlette")
argon2 = pytest.importorskip("argon2")
itsdangerous = pytest.importorskip("itsdangerous")

# cheap hashes: the cost is that of the hash, not of the code
HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=1024)
TOKEN = "a-token-of-forty-three-characters-or-so-1234"
PASSWORDS = {"anna": "correct horse", "ben": "battery staple", "root": "hunter2hunter2", "guest": "only watching"}
ROLES = {"anna": "submit", "ben": "submit", "root": "admin", "guest": "watch"}


def section(**more: str) -> str:
    users = "".join(f"\n  {name} {ROLES[name]} {HASHER.hash(word)}" for name, word in PASSWORDS.items())
    hashed = hashlib.sha256(TOKEN.encode()).hexdigest()
    lines = {"users": users, "tokens": f"\n  robot submit {hashed}", **more}
    return "[web]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


@pytest.fixture
def web(daemon: Daemon, r) -> Iterator[Web]:
    daemon.sections = section(trusted_proxies="127.0.0.2")
    with serving(daemon) as made:
        yield made
    assert not any(word in made.log for word in [*PASSWORDS.values(), TOKEN, "argon2"])


@pytest.fixture
def video(studio: Studio) -> Path:
    return studio.film("silent").path


def logged_in(web: Web, name: str) -> Client:
    made = Client(web)
    done = made.log_in(name, PASSWORDS[name])
    assert (done.status, done.headers["location"]) == (303, "/")
    return made


def test_without_a_login_nothing_is_told(web: Web, video: Path) -> None:
    anna, nobody = logged_in(web, "anna"), Client(web)
    page = anna.upload(video)
    for path in ("/", page, f"{page}/state", f"{page}/files/1", "/j/wAAAAAAAAAAAAAAAAAAAAAAAA"):
        done = nobody.get(path, headers={"Accept": "application/json"})
        assert done.status == 401 and b"anna" not in done.data
    done = nobody.get(page)
    assert (done.status, done.headers["location"]) == (303, f"/login?next={page}")
    done = nobody.get("/admin/jobs?state=dead&text=a%20b")
    assert (done.status, done.headers["location"]) == (303, "/login?next=/admin/jobs%3Fstate%3Ddead%26text%3Da%2520b")
    form = nobody.page(done.headers["location"])
    assert 'name="next" value="/admin/jobs?state=dead&amp;text=a%20b"' in form
    assert nobody.ask("POST", "/files", headers={**TUS, "Upload-Length": "5"}).status == 401
    for path in (f"{page}/cancel", f"{page}/retry", "/upload"):
        done = nobody.ask("POST", path, fields={"a": "b"}, encode_multipart=path == "/upload")
        assert done.status in (401, 403)
    assert nobody.get("/healthz").status == 200 and nobody.get("/static/style.css").status == 200


def test_two_users_do_not_see_each_other(web: Web, daemon: Daemon, video: Path) -> None:
    anna, ben, root, guest = (logged_in(web, name) for name in ("anna", "ben", "root", "guest"))
    page = anna.upload(video, "secret name.mp4")
    made = anna.create("half.mp4", 1000)
    place = made.headers["location"]
    daemon.start()
    assert anna.ended(page)["state"] == "done"
    program = {"Accept": "application/json"}
    unknown = ben.get("/j/wAAAAAAAAAAAAAAAAAAAAAAAA/state", headers=program)
    for other in (ben, guest):
        assert b"secret name" not in other.get("/").data
        done = other.get(f"{page}/state", headers=program)
        assert (done.status, done.data) == (unknown.status, unknown.data) == (404, unknown.data)
        for path in ("", "/files/1", "/files/2"):
            assert other.get(page + path).status == 404
    for verb in ("cancel", "retry"):
        assert ben.post(f"{page}/{verb}").status == 404
        assert guest.post(f"{page}/{verb}").status == 403
    assert ben.head(place).status == 404 and ben.patch(place, 0, b"x" * 10).status == 404
    assert ben.ask("DELETE", place, headers={**TUS, "X-CSRF-Token": ben.token()}).status == 404
    assert anna.head(place).status == 200
    assert guest.create("a.mp4", 10).status == 403 and "<form id=" not in guest.page("/")
    assert root.page(page) and root.get(f"{page}/files/1").status == 200
    assert b"secret name" not in root.get("/").data


def test_an_admin_finds_the_video_of_a_user(web: Web, daemon: Daemon, video: Path) -> None:
    anna, ben, root = (logged_in(web, name) for name in ("anna", "ben", "root"))
    page = anna.upload(video, "harbour <b>.mp4")
    here = f'href="/admin/jobs/{page[3:]}"'
    for start in (lambda: None, daemon.start):
        start()
        assert start != daemon.start or anna.ended(page)["state"] == "done"
        for query in ("", "?text=HARBOUR"):
            found = root.page(f"/admin/jobs{query}")
            assert here in found and "harbour &lt;b&gt;.mp4" in found
        assert here not in root.page("/admin/jobs?text=harbours")
        assert f'<a href="{page}">harbour &lt;b&gt;.mp4</a> of anna' in root.page(f"/admin/jobs/{page[3:]}")
        theirs = json.loads(ben.get("/api/v1/jobs?text=harbour").data)
        assert theirs["jobs"] == []


def test_who_serves_others_in_the_clear_is_warned(daemon: Daemon, r) -> None:
    daemon.sections = section(listen="0.0.0.0:8080")
    daemon.write()
    advice = f"advice   [web] listen: 0.0.0.0:8080: {IN_THE_CLEAR}"
    assert advice in daemon.command("check", daemon.env).stdout
    made = Web(daemon)
    made.host = "0.0.0.0"  # any other address of this machine would do; who is not logged in is told nothing
    try:
        made.start()
        until(lambda: f"web: 0.0.0.0:{made.port}: {IN_THE_CLEAR}" in made.log, 5, "the warning")
    finally:
        made.stop()
    with serving(daemon) as near:
        assert IN_THE_CLEAR not in near.log


def test_login_and_logout(web: Web) -> None:
    client = Client(web)
    before = client.token("/login") and client.cookies["videod"]
    done = client.log_in("anna", "wrong")
    assert done.status == 401 and b"Name or password is wrong" in done.data
    assert client.log_in("nobody", "wrong").status == 401
    assert client.log_in("anna", PASSWORDS["anna"]).status == 303
    assert client.cookies["videod"] != before
    assert "anna" in client.page("/") and client.get("/login").headers["location"] == "/"
    assert client.post("/logout").headers["location"] == "/login"
    assert client.get("/").status == 303
    for target in ("//evil.example.org", "https://evil.example.org", "/\\evil.example.org", "javascript:alert(1)"):
        fresh = Client(web)
        form = {"name": "anna", "password": PASSWORDS["anna"], "next": target}
        assert fresh.post("/login", form, on="/login").headers["location"] == "/"


def test_the_longest_name_stays_logged_in(web: Web, daemon: Daemon) -> None:
    name = "".join(chr(0x4E00 + 37 * n) for n in range(128))
    web.stop()
    daemon.sections = section(users=f"\n  {name} submit {HASHER.hash('correct horse')}")
    daemon.write()
    web.start()
    client = Client(web)
    assert client.log_in(name, "correct horse").status == 303
    assert name in client.page("/")


def test_a_new_password_ends_old_logins(web: Web, daemon: Daemon) -> None:
    anna = logged_in(web, "anna")
    web.stop()
    web.start()
    assert anna.get("/").status == 200
    web.stop()
    daemon.sections = section()  # the same passwords, hashed anew
    daemon.write()
    web.start()
    assert anna.get("/").status == 303
    anna.cookies["videod"] = anna.cookies["videod"][:-2] + "AA"
    assert anna.get("/").status == 303


def test_logins_are_rated_over_all_processes(web: Web, daemon: Daemon) -> None:
    second = Web(daemon).start()
    try:
        answers = []
        clients = [Client(one) for one in (web, second) for _ in range(6)]
        threads = [
            threading.Thread(target=lambda c=c: answers.append(c.log_in("anna", "guess").status)) for c in clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [401] * 5 + [429] * 7
        done = Client(web).log_in("anna", PASSWORDS["anna"])
        assert done.status == 429 and int(done.headers["retry-after"]) > 60
        assert Client(second).log_in("ben", PASSWORDS["ben"]).status == 303
    finally:
        assert second.stop() == 0


def test_tokens_of_programs(web: Web, video: Path) -> None:
    robot = Client(web, {"Authorization": f"Bearer {TOKEN}"})
    made = robot.ask("POST", "/files", headers={**TUS, "Upload-Length": "5"})
    assert made.status == 201
    for wrong in (TOKEN + "x", "", "\xff"):
        done = Client(web, {"Authorization": f"Bearer {wrong}"}).get("/", headers={"Accept": "application/json"})
        assert done.status == 401 and json.loads(done.data)["status"] == 401
    # a scraper follows where it is sent to, and would take the form for an answer
    for path, headers in (("/metrics", {}), ("/metrics", {"Authorization": "Bearer x"}), ("/", {"Authorization": "x"})):
        assert Client(web, headers).get(path).status == 401
    assert Client(web).get("/").status == 303


def test_a_proxy_is_believed_only_from_its_address(web: Web, daemon: Daemon) -> None:
    web.stop()
    daemon.sections = section(user_header="X-User", trusted_proxies="127.0.0.0/8", header_role="submit")
    daemon.write()
    web.start()
    carl = Client(web, {"X-User": "carl"})
    assert "Upload a video" in carl.page("/") and carl.create("a.mp4", 5).status == 201
    two = urllib3.HTTPHeaderDict([("X-User", "carl"), ("X-User", "root")])
    pool = urllib3.PoolManager(retries=False)
    assert (
        pool.request("GET", web.url + "/", headers=two, redirect=False).status == 303
    )  # the first is the browser's own
    zoe = Client(web, {"X-User": "zoë".encode()})
    assert "zoë" in zoe.page("/")
    for wrong in ("~forged", b"zo\xeb"):
        assert Client(web, {"X-User": wrong}).get("/").status == 303
    assert Client(web, {"X-User": ""}).get("/").status == 303
    done = Client(web, {"X-Forwarded-Proto": "https"}).get("/login")
    assert "Secure" in done.headers["set-cookie"]
    web.stop()
    daemon.sections = section(user_header="X-User", trusted_proxies="192.0.2.1")
    daemon.write()
    web.start()
    assert Client(web, {"X-User": "root"}).get("/").status == 303
    assert "Secure" not in Client(web, {"X-Forwarded-Proto": "https"}).get("/login").headers["set-cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.org"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://a.localhost"},
    ],
)
def test_another_site_asks(web: Web, video: Path, headers: dict[str, str]) -> None:
    anna = logged_in(web, "anna")
    page = anna.upload(video)
    assert anna.post(f"{page}/cancel", headers=headers).status == 403
    assert anna.post("/logout", headers=headers).status == 403
    assert anna.create("a.mp4", 5, **headers).status == 403
    assert anna.state(page)["state"] == "queued"


def test_forms_need_their_token(web: Web, video: Path) -> None:
    anna, ben = logged_in(web, "anna"), logged_in(web, "ben")
    page = anna.upload(video)
    own = {"Origin": web.url}
    for token in ("", "x", "é", ben.token()):
        done = anna.ask("POST", f"{page}/cancel", fields={"token": token}, encode_multipart=False, headers=own)
        assert done.status == 403 and b"too old" in done.data
        form = {"token": token, "file": ("a.mp4", video.read_bytes(), "video/mp4")}
        assert anna.ask("POST", "/upload", fields=form, headers=own).status == 403
    assert len(list((Path(web.daemon.state) / "web/uploads").iterdir())) == 1
    assert anna.post(f"{page}/cancel", headers=own).status == 303
    assert anna.state(page)["state"] == "cancelled"


def test_the_last_line_of_a_proxy_counts(web: Web, daemon: Daemon) -> None:
    """HAProxy adds a line of its own behind the one that the client sent."""
    web.stop()
    daemon.sections = section(trusted_proxies="127.0.0.0/8")
    daemon.write()
    web.start()
    client, pool = Client(web), urllib3.PoolManager(retries=False)
    fields = {"token": client.token("/login"), "name": "nobody", "password": "wrong wrong"}
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    found = []
    for n in range(8):
        told = [("X-Forwarded-For", f"192.0.2.{n}"), ("X-Forwarded-For", "198.51.100.7"), ("Cookie", cookie)]
        headers = urllib3.HTTPHeaderDict(told)
        more = {"fields": fields, "headers": headers, "encode_multipart": False, "redirect": False}
        found.append(pool.request_encode_body("POST", web.url + "/login", **more).status)
    assert found[0] == 401 and found[-1] == 429


def test_a_cookie_of_a_machine_whose_clock_is_ahead_is_taken(settings: Settings) -> None:
    sessions = pytest.importorskip("videod.web.sessions")
    key = "s" * LEAST_KEY
    ours = sessions.Sessions(replace(settings, web=replace(settings.web, secret=key)))

    def told(ahead: int, name: str) -> str:
        """Which session a cookie has that was made on a machine whose clock is so many seconds ahead."""

        class Clock(itsdangerous.TimestampSigner):
            def get_timestamp(self) -> int:
                return super().get_timestamp() + ahead

        made = itsdangerous.URLSafeTimedSerializer(key, salt="videod session", signer=Clock)
        return ours.of({}, made.dumps(["number", name, "mark"])).number

    assert {told(0, "anna"), told(90, "anna"), told(90, ""), told(-8 * 86400, "")} == {"number"}
    assert told(-8 * 86400, "anna") != "number" != told(-400 * 86400, "")
