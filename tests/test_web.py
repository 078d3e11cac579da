"""`videod web`: what it takes to serve, upload, wait, watch; no browser."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.daemon import ROOT, Daemon, until
from tests.media_fixtures import Studio
from tests.web import Client, Web

pytest.importorskip("starlette")


@pytest.fixture
def video(studio: Studio) -> Path:
    return studio.film("silent").path


# ------------------------------------------------------------- the process
def test_it_serves_and_ends(web: Web, client: Client) -> None:
    done = client.get("/healthz")
    assert (done.status, json.loads(done.data)) == (200, {"ok": True, "redis": True})
    assert "no-store" in done.headers["cache-control"]
    assert "Your videos" in client.page("/")
    # a thread each, and so a connection: those of the past must not count
    assert {client.get("/healthz").status for _ in range(120)} == {200}
    assert web.stop() == 0
    assert web.log.splitlines()[-1].endswith("web: stopped") and len(web.log.splitlines()) == 2


def test_a_body_that_is_no_form(web: Web, client: Client) -> None:
    sent = {"Origin": web.url, "Content-Type": "multipart/form-data; boundary=" + "b" * 257}
    assert client.ask("POST", "/upload", headers=sent, body=b"xx").status == 400
    sent["Content-Type"] = "text/plain"
    assert client.ask("POST", "/admin/pause", headers=sent, body=b"xx").status == 415
    assert "fault" not in web.log


def test_a_page_has_its_headers_and_nothing_inline(client: Client) -> None:
    done = client.get("/")
    policy = done.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
    assert done.headers["x-content-type-options"] == "nosniff" and done.headers["x-frame-options"] == "DENY"
    assert "server" not in done.headers
    text = done.data.decode()
    assert "<style" not in text and " style=" not in text and " onclick" not in text and "http://" not in text
    cookie = done.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_assets_are_small_and_kept(client: Client) -> None:
    folder = ROOT / "videod/web/static"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 100_000
    done = client.get("/static/style.css")
    assert done.status == 200 and done.headers["content-type"].startswith("text/css")
    etag = done.headers["etag"]
    assert client.get("/static/style.css", headers={"If-None-Match": etag}).status == 304
    assert "immutable" in client.get(f"/static/style.css?v={etag[1:-1]}").headers["cache-control"]
    for name in ("..%2fapp.py", "nothing.css", "%2e%2e/%2e%2e/etc/passwd"):
        assert client.get(f"/static/{name}").status == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("a.localhost", 200),
        ("evil.example.org", 421),
        ("", 421),
        ("localhost.example.org", 421),
    ],
)
def test_only_names_of_ours(client: Client, host: str, status: int) -> None:
    assert client.get("/", headers={"Host": host}).status == status


def run(daemon: Daemon, *argv: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return daemon.command("web", "-e", daemon.env, *argv, input=text, timeout=20)


def test_what_is_wrong_is_one_line(daemon: Daemon, r) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run(daemon, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1 and "another program listens there" in done.stderr
    for address in ("0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080", "example.org:8080"):
        done = run(daemon, "--listen", address)
        assert done.returncode == 6 and done.stderr.count("\n") == 1, done
        assert "users, tokens or user_header" in done.stderr
    assert run(daemon, "--listen", "nowhere").returncode == 2
    daemon.sections = "[web]\nuser_header = X-User\n"
    daemon.write()
    done = run(daemon)
    assert done.returncode == 6 and "trusted_proxies" in done.stderr
    daemon.sections = "[web]\nsecret = short\n"
    daemon.write()
    assert run(daemon, "--listen", f"unix:{daemon.folder}/s").returncode == 6
    hashed = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$" + "A" * 43
    for line, told in (
        ("users = a", "line 1 is not: a"),
        (f"users =\n  anna admin {hashed}\n  ben boss {hashed}", "line 2 is not: ben"),
        (f"users =\n  anna admin {hashed}\n  anna watch {hashed}", "two lines for anna"),
        ("tokens =\n  robot submit short", "line 1 is not: robot"),
        ("hosts = *", "'*' is none"),
        ("hosts = a.example http://x/", "'http://x/' is none"),
        ("hosts = a.example:80", "'a.example:80' is none"),
    ):
        daemon.sections = f"[web]\n{line}\n"
        daemon.write()
        done = run(daemon)
        assert (done.returncode, done.stderr.count("\n")) == (6, 1) and told in done.stderr, done.stderr


def test_without_the_extra(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "starlette.py").write_text("raise ImportError('none', name='starlette')")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ['PYTHONPATH']}"}
    done = daemon.command("web", "-e", daemon.env, env=environ)
    assert (done.returncode, done.stderr.count("\n")) == (5, 1) and "pip install 'videod[web]'" in done.stderr


def test_hash_and_token_for_the_ini(daemon: Daemon) -> None:
    done = run(daemon, "--hash", text="correct horse\n")
    assert done.returncode == 0 and done.stdout.startswith("$argon2id$")
    assert run(daemon, "--hash", text="short\n").returncode == 2
    odd = daemon.command("web", "--hash", input="\udcff" * 9, errors="surrogateescape")
    assert odd.returncode == 2 and "UTF-8" in odd.stderr
    both = run(daemon, "--hash", "--token")
    assert both.returncode == 2 and "not allowed with" in both.stderr
    token, hashed = (line.split()[1] for line in run(daemon, "--token").stdout.splitlines())
    assert hashlib.sha256(token.encode()).hexdigest() == hashed and len(token) > 40


def test_a_password_is_typed_twice_at_a_terminal(daemon: Daemon) -> None:
    for second, code in (("correct horse", 0), ("correct hrose", 2)):
        ours, theirs = pty.openpty()
        argv = [daemon.python, "-m", "videod", "web", "--hash"]
        child = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        said = b""
        for ask, answer in ((b"password: ", "correct horse"), (b"again: ", second)):
            while not said.endswith(ask):
                said += os.read(ours, 1024)
            os.write(ours, answer.encode() + b"\n")
        with contextlib.suppress(OSError):  # nobody has its other end any more
            while piece := os.read(ours, 1024):
                said += piece
        os.close(ours)
        assert child.wait(20) == code, said
        assert (b"$argon2id$" in said) == (code == 0) and (b"the two passwords differ" in said) == (code == 2)


def test_a_folder_that_cannot_be_had(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    daemon.sections = f"[web]\nfolder = {tmp_path}/file\n"
    daemon.write()
    done = run(daemon)
    assert (done.returncode, done.stderr.count("\n")) == (6, 1)
    assert f"[web] folder: {daemon.ini}: {tmp_path}/file: cannot be made: " in done.stderr
    told = daemon.command("check", "prod")
    assert told.returncode == 6 and f"problem  [web] folder: [web] folder: {tmp_path}/file: cannot be" in told.stdout


def test_the_daemon_needs_none_of_it() -> None:
    """Neither `run` nor any other command loads what the extra brings."""
    code = "import sys; import videod.service, videod.boot, videod.cli.daemon, videod.cli.push, videod.cli.parser\n"
    code += "videod.cli.parser.build()\nprint(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {
        "starlette",
        "uvicorn",
        "jinja2",
        "itsdangerous",
        "python_multipart",
        "argon2",
        "prometheus_client",
        "anyio",
    }
    assert not ours & set(loaded)


# ------------------------------------------------------------- upload, wait, watch
def test_upload_wait_watch(web: Web, client: Client, daemon: Daemon, video: Path) -> None:
    page = client.upload(video, "My hölidays <b>.mkv")
    state = client.state(page)
    assert (state["state"], state["place"]) == ("queued", 1)
    text = client.page(page)
    assert "My hölidays &lt;b&gt;.mkv" in text and "<b>" not in text and "http-equiv" in text
    daemon.start()
    state = client.ended(page)
    assert state["state"] == "done", state
    (output,) = state["outputs"]
    assert output["name"] == "My hölidays <b>.mp4" and output["width"]
    whole = client.get(output["href"])
    assert whole.status == 200 and len(whole.data) == output["bytes"] and whole.headers["content-type"] == "video/mp4"
    part = client.get(output["href"], headers={"Range": "bytes=4-11"})
    assert part.status == 206 and part.data == whole.data[4:12]
    assert part.headers["content-range"] == f"bytes 4-11/{output['bytes']}"
    kept = client.get(output["href"] + "?download").headers["content-disposition"]
    assert kept.startswith("attachment") and "My%20h%C3%B6lidays%20%3Cb%3E.mp4" in kept and "<" not in kept
    assert client.get(state["poster"]).data.startswith(b"\xff\xd8\xff")
    text = client.page(page)
    assert "<video controls" in text and "http-equiv" not in text and f'poster="{state["poster"]}"' in text
    assert page in client.page("/")
    assert "/j/" not in Client(web).page("/")
    shown = json.dumps(state) + text
    assert daemon.node not in shown and str(daemon.folder) not in shown


def test_signals_end_it_within_two_seconds(web: Web, client: Client) -> None:
    held = socket.create_connection(("127.0.0.1", web.port))
    held.sendall(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
    assert client.get("/healthz").status == 200
    web.process.send_signal(signal.SIGINT)
    assert web.process.wait(2.5) == 0
    held.close()


def test_a_unix_socket(daemon: Daemon, r) -> None:
    """For a proxy on this machine; what a killed process left is taken over, what another listens on is not."""
    path = Path(tempfile.mkdtemp(prefix="videod-web-")) / "socket"
    daemon.write()
    command = [daemon.python, "-m", "videod", "-c", daemon.ini, "web", "-e", daemon.env, "--listen", f"unix:{path}"]

    def answers() -> bool:
        with socket.socket(socket.AF_UNIX) as made, contextlib.suppress(OSError):
            made.connect(str(path))
            made.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return made.recv(100).startswith(b"HTTP/1.1 200")
        return False

    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(answers, 20, "it serves")
        assert path.stat().st_mode & 0o777 == 0o660
        if number == signal.SIGTERM:
            assert "another program listens there" in run(daemon, "--listen", f"unix:{path}").stderr
        process.send_signal(number)
        process.wait(10)
    assert not path.exists()
    path.parent.rmdir()


def test_a_file_at_the_place_of_the_socket_stays(daemon: Daemon, r, tmp_path: Path) -> None:
    daemon.write()
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.write_text("of somebody")
    link.symlink_to(kept)
    for path in (kept, link, tmp_path):
        done = run(daemon, "--listen", f"unix:{path}")
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done
        assert f"cannot listen: unix:{path}: a file that is no socket stands there" in done.stderr
    assert kept.read_text() == "of somebody" and link.is_symlink()


def test_of_many_starts_one_serves(daemon: Daemon, r) -> None:
    """Also at what a killed one left: none takes the socket of another away."""
    path = Path(tempfile.mkdtemp(prefix="videod-web-")) / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    daemon.write()
    command = [daemon.python, "-m", "videod", "-c", daemon.ini, "web", "-e", daemon.env, "--listen", f"unix:{path}"]
    all_ = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    until(lambda: sum(one.poll() is None for one in all_) == 1, 30, "all but one have ended")
    (ours,) = (one for one in all_ if one.poll() is None)
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(str(path))
        made.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert made.recv(100).startswith(b"HTTP/1.1 200")
    ours.terminate()
    said = [one.communicate(timeout=20)[1] for one in all_]
    assert sum(b"another program listens there" in text for text in said) == 3
    assert ours.returncode == 0 and not path.exists()
    path.parent.rmdir()


def test_failed_cancelled_and_tried_again(
    web: Web, client: Client, daemon: Daemon, video: Path, tmp_path: Path, r
) -> None:
    first = client.upload(video)
    assert client.post(f"{first}/cancel").headers["location"] == first
    assert client.state(first)["state"] == "cancelled"
    daemon.start(max_worker=1)
    assert client.post(f"{first}/retry").status == 303
    assert client.ended(first)["state"] == "done"
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(range(256)) * 400)
    second = client.upload(noise)
    state = client.ended(second)
    assert state["state"] == "dead" and "no moving picture" in state["words"]
    assert set(state) == {"state", "place", "stage", "percent", "words", "outputs", "poster"}
    assert r.llen("videod:dead") == 1
    # another try would end the same, and so would a clip; what broke down may be tried again
    assert "Try again" not in client.page(second) and "noise.mp4" not in client.page("/clip")
    assert video.name in client.page("/clip")
    r.hset(f"videod:job:{second[3:]}", "error", '{"code": "stalled"}')
    assert "Try again" in client.page(second) and "noise.mp4" in client.page("/clip")
    # whatever else is in the list
    r.lpush("videod:dead", f"no JSON {second[3:]}", f'["{second[3:]}"]')
    assert client.post(f"{second}/retry").status == 303
    assert client.ended(second)["state"] == "dead"
    assert r.llen("videod:dead") == 3
    # without its file there is nothing to try again
    shutil.rmtree(
        next(path.parent for path in (daemon.state / "web/uploads").glob("*/file") if path.stat().st_size == 102400)
    )
    assert client.post(f"{second}/retry").status == 409 and "Upload it again" in client.page(second)


def test_who_waits_for_the_end_stops_nobody(web: Web, client: Client, daemon: Daemon, video: Path, r) -> None:
    page = client.upload(video)
    ident = page.removeprefix("/j/")
    # on a node that does not answer
    message = r.lpop(f"video_info_queue@{daemon.node}") or r.lpop("video_info_queue")
    r.hset(f"videod:job:{ident}", mapping={"state": "running", "kind": "convert", "message": message, "token": "t"})
    body = f"token={client.token()}".encode()
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    head = f"POST {page}/cancel HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n"
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    held = [socket.create_connection(("127.0.0.1", web.port), 30) for _ in range(100)]
    for one in held:
        one.sendall(head.encode() + body)
    until(lambda: r.exists(f"videod:cancel:{ident}"), 10, "they are asked")
    assert client.state(page)["state"] == "running"
    assert select.select(held, [], [], 0)[0] == []  # it was told before any of them was
    for one in held:
        assert one.recv(100).startswith(b"HTTP/1.1 303 ")
        one.close()


def test_places_in_line(web: Web, client: Client, daemon: Daemon, video: Path, r) -> None:
    pages = [client.upload(video) for _ in range(3)]
    until(lambda: [client.state(page)["place"] for page in pages] == [1, 2, 3], 5, "places")
    client.post(f"{pages[0]}/cancel")
    until(lambda: [client.state(page)["place"] for page in pages[1:]] == [1, 2], 5, "places")
    assert "Place 2 in line." in client.page(pages[2])


def test_several_processes_show_the_same(web: Web, client: Client, daemon: Daemon, video: Path) -> None:
    other = Web(daemon).start()
    try:
        data = video.read_bytes()
        made = client.create("a.mp4", len(data)).headers["location"]
        assert client.patch(made, 0, data[:1000]).status == 204
        client.web = other
        assert client.head(made).headers["upload-offset"] == "1000"
        page = client.patch(made, 1000, data[1000:]).headers["videod-page"]
        for one in (web, other):
            client.web = one
            assert client.state(page)["state"] == "queued" and page in client.page("/")
    finally:
        assert other.stop() == 0
