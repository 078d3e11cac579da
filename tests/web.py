"""`videod web` under test, as a process of its own, and a client for it that keeps cookies."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import urllib3

from tests.daemon import Daemon, until
from tests.ports import free_port

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = "application/offset+octet-stream"


class Web:
    """`videod web` on a port of its own."""

    def __init__(self, daemon: Daemon, port: int = 0) -> None:
        self.daemon = daemon
        self.port = port or free_port()
        self.host = "127.0.0.1"
        self.url = f"http://127.0.0.1:{self.port}"
        self.said = daemon.folder / f"web-{self.port}.said"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Web:
        if not self.daemon.ini.exists():
            self.daemon.write()
        command = [self.daemon.python, "-m", "videod", "-c", str(self.daemon.ini), "web", "-e", self.daemon.env]
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(
                [*command, "--listen", f"{self.host}:{self.port}"], stdout=said, stderr=said, stdin=subprocess.DEVNULL
            )
        try:
            until(lambda: self.answers() or self.process.poll() is not None, 20, "it serves")
            assert self.process.poll() is None, self.log
        except BaseException:
            self.stop(signal.SIGKILL)
            raise
        return self

    def answers(self) -> bool:
        try:
            return bool(Client(self).get("/healthz").status)
        except urllib3.exceptions.HTTPError:
            return False

    @property
    def log(self) -> str:
        return self.said.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)


@contextlib.contextmanager
def serving(daemon: Daemon) -> Iterator[Web]:
    """Until the end of the test, which finds that nothing went wrong; -9 where the test killed it."""
    made = Web(daemon).start()
    yield made
    assert made.stop() in (0, -signal.SIGKILL)
    assert "Traceback" not in made.log and "fault" not in made.log, made.log


class Client:
    """A browser without JavaScript: keeps cookies, follows nothing by itself."""

    def __init__(self, web: Web, headers: Mapping[str, str] | None = None) -> None:
        self.web = web
        self.headers = dict(headers or {})
        self.cookies: dict[str, str] = {}
        self._pool = urllib3.PoolManager(retries=False, timeout=30)

    def ask(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        headers = {**self.headers, **more.pop("headers", {})}
        if self.cookies:
            headers.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        done = self._pool.request(method, self.web.url + path, headers=headers, redirect=False, **more)
        for cookie in done.headers.getlist("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return done

    def get(self, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        return self.ask("GET", path, **more)

    def page(self, path: str) -> str:
        done = self.get(path)
        assert done.status == 200, (done.status, done.data)
        return done.data.decode()

    def token(self, path: str = "/") -> str:
        """That of the forms of a page."""
        return re.search(r'name="token" value="([0-9a-f]+)"', self.get(path).data.decode())[1]

    def post(self, path: str, form: Mapping[str, str] | None = None, **more: Any) -> urllib3.BaseHTTPResponse:
        """A form with its token."""
        fields = {"token": self.token(more.pop("on", "/")), **(form or {})}
        return self.ask("POST", path, fields=fields, encode_multipart=False, **more)

    def log_in(self, name: str, password: str) -> urllib3.BaseHTTPResponse:
        return self.post("/login", {"name": name, "password": password}, on="/login")

    # ------------------------------------------------------------- uploads
    def create(self, name: str, length: int, **more: str) -> urllib3.BaseHTTPResponse:
        metadata = "filename " + base64.b64encode(name.encode()).decode()
        return self._tus("POST", "/files", {"Upload-Length": str(length), "Upload-Metadata": metadata, **more})

    def patch(self, place: str, offset: int, data: Any, **more: str) -> urllib3.BaseHTTPResponse:
        return self._tus("PATCH", place, {"Upload-Offset": str(offset), "Content-Type": BYTES, **more}, body=data)

    def _tus(self, method: str, path: str, headers: dict[str, str], **more: Any) -> urllib3.BaseHTTPResponse:
        headers = {**TUS, **headers}
        if "X-CSRF-Token" not in headers:
            headers["X-CSRF-Token"] = self.token()
        return self.ask(method, path, headers=headers, **more)

    def head(self, place: str) -> urllib3.BaseHTTPResponse:
        return self.ask("HEAD", place, headers=TUS)

    def upload(self, path: Path, name: str = "") -> str:
        """A whole file by tus; the address of its page."""
        data = path.read_bytes()
        made = self.create(name or path.name, len(data))
        assert made.status == 201, made.data
        done = self.patch(made.headers["location"], 0, data)
        assert done.status == 204, done.data
        return str(done.headers["videod-page"])

    def state(self, page: str) -> dict[str, Any]:
        done = self.get(f"{page}/state")
        assert done.status == 200, done.data
        return json.loads(done.data)

    def ended(self, page: str, seconds: float = 60) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            state = self.state(page)
            return state if state["state"] in ("done", "dead", "cancelled") else None

        return until(look, seconds, f"{page} ended")
