"""The web side as it is installed: its unit, and nginx in front of it as the example has it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import ROOT, Daemon, until
from tests.media_fixtures import Studio
from tests.ports import free_port
from tests.web import TUS, Client, Web

pytest.importorskip("starlette")
EXAMPLE = (ROOT / "docs/examples/nginx-web.conf").read_text()
UNIT = (ROOT / "init/videod-web.service").read_text()
WHOLE = """pid {here}/nginx.pid; error_log {here}/error.log;
events {{}}
http {{ access_log off; client_body_temp_path {here}/t1; proxy_temp_path {here}/t2; fastcgi_temp_path {here}/t3;
  uwsgi_temp_path {here}/t4; scgi_temp_path {here}/t5;
{example}
}}
"""


def configuration(folder: Path, example: str) -> Path:
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    made = folder / "nginx.conf"
    made.write_text(WHOLE.format(here=folder, example=example))
    done = subprocess.run(["nginx", "-t", "-c", made], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return made


def test_the_example_is_well_formed(tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=videos.example.org"]
    subprocess.run([*request, "-keyout", tmp_path / "key", "-out", tmp_path / "pem"], check=True, capture_output=True)
    with_keys = re.sub(r"(ssl_certificate_key) .*;", rf"\1 {tmp_path}/key;", EXAMPLE)
    configuration(tmp_path, re.sub(r"(ssl_certificate) .*;", rf"\1 {tmp_path}/pem;", with_keys))


@pytest.fixture
def behind(daemon: Daemon, tmp_path: Path, r) -> Iterator[Client]:
    """A client of nginx, in front of two processes; without TLS, under the name of the example."""
    daemon.sections = "[web]\nhosts = videos.example.org\ntrusted_proxies = 127.0.0.1\n"
    daemon.write()
    webs = [Web(daemon).start() for _ in range(2)]
    port = free_port()
    text = re.sub(r"server \{\n    listen 80;.*?\n\}\n", "", EXAMPLE, flags=re.DOTALL)
    text = re.sub(r"    ssl_.*\n", "", text).replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    servers = "\n".join(f"    server 127.0.0.1:{web.port};" for web in webs)
    text = text.replace("    server 127.0.0.1:8080;", servers)
    path = configuration(tmp_path, text)
    # in the foreground, as a child of ours
    nginx = subprocess.Popen(["nginx", "-c", path, "-g", "daemon off;"], stderr=subprocess.DEVNULL)
    front = Web(daemon, port)
    try:
        until(front.answers, 10, "nginx answers")
        yield Client(front, {"Host": "videos.example.org"})
    finally:
        nginx.terminate()
        nginx.wait(10)
        assert [web.stop() for web in webs] == [0, 0]


def test_all_of_it_through_nginx(behind: Client, daemon: Daemon, studio: Studio) -> None:
    path = studio.film("silent").path
    origin = {"Origin": "http://videos.example.org", "Sec-Fetch-Site": "same-origin"}
    behind.headers |= origin
    page = behind.upload(path)
    form = {"token": behind.token(), "file": ("b.mp4", path.read_bytes(), "video/mp4")}
    second = behind.ask("POST", "/upload", fields=form).headers["location"]
    daemon.start(max_worker=2)
    for one in (page, second):
        (output,) = behind.ended(one)["outputs"]
        assert behind.get(output["href"], headers={"Range": "bytes=0-9"}).status == 206
    assert behind.get("/", headers={"Host": "other.example.org"}).status == 421


def test_what_came_is_kept_while_more_comes(behind: Client, daemon: Daemon) -> None:
    """nginx hands on a body as it comes: a broken upload has lost nothing."""
    size = 6 << 20
    place = behind.create("a.mp4", size).headers["location"]
    kept = daemon.state / "web/uploads" / place.removeprefix("/files/") / "file"
    seen = []

    def body() -> Iterator[bytes]:
        for _ in range(3):
            yield b"\0" * (2 << 20)
            until(lambda: kept.stat().st_size > len(seen) << 21, 10, "it is there before the end")
            seen.append(kept.stat().st_size)

    done = behind.patch(place, 0, body(), **{"Content-Length": str(size)})
    assert done.status == 204 and seen[0] < size
    assert behind.ask("HEAD", place, headers=TUS).headers["upload-offset"] == str(size)


def test_unit(tmp_path: Path) -> None:
    said = dict(re.findall(r"^(\w+)=(.*)$", UNIT, flags=re.MULTILINE))
    assert said["ExecStart"] == "/usr/bin/videod web --env prod" and said["User"] == "videod"
    assert int(said["LimitNOFILE"]) >= 65536 and int(said["TimeoutStopSec"]) > 2
    assert set(said["RestartPreventExitStatus"].split()) == {"2", "5", "6"}
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    command = tmp_path / "videod"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m videod "$@"\n')
    command.chmod(0o755)
    unit = tmp_path / "videod-web.service"
    unit.write_text(
        UNIT.replace("/usr/bin/videod", str(command)).replace("Wants=network-online.target videod.service\n", "")
    )
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    if "--offline" in subprocess.run(["systemd-analyze", "--help"], capture_output=True, text=True).stdout:
        security = ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit]
        assert subprocess.run(security, capture_output=True).returncode == 0
