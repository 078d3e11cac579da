"""A real HTTP server on loopback with fault switches: what origins and receivers do on a bad day.

    with Origin() as origin:
        url = origin.put("/a.mp4", Page(body, cut_after=1000), Page(body))   # the 2nd request gets the 2nd page
        ...
        assert [seen.range for seen in origin.seen("/a.mp4")] == ["", "bytes=1000-"]

The last page of a path serves all further requests. PUT stores what came in `origin.stored`, unless the page
of that path says otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LONG_AGO = "Mon, 02 Jan 2023 03:04:05 GMT"


@dataclass(frozen=True)
class Page:
    """How one request is answered. `etag` None: made from the body; empty: none is sent."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    last_modified: str = LONG_AGO
    ranges: bool = True  # False: Range is ignored, whole bodies only
    if_range: bool = True  # False: If-Range is ignored, 206 whatever it says
    length: int | None = None  # a Content-Length that lies; -1: none, the end of the connection ends the body
    chunked: bool = False
    cut_after: int | None = None  # body bytes after which the connection is closed
    reset: bool = False  # ... by RST
    stall_after: int | None = None  # body bytes after which nothing more comes
    rate: int = 0  # bytes a second
    shift: int = 0  # a 206 that begins so many bytes off
    user: str = ""  # user:password that basic authentication asks for
    silent: bool = False  # the connection is closed without an answer
    limit: int = 0  # the most that a 206 brings
    extra: bytes = b""  # what comes behind the body
    read_body: bool = True  # False: a PUT is answered before its body is read

    @property
    def tag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"' if self.etag is None else self.etag


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""
    port: int = 0  # of the client: one a connection

    @property
    def range(self) -> str:
        return self.headers.get("range", "")


class Origin:
    """The server; `url` is its address, by `host` (127.0.0.1, 127.0.0.2, localhost, ::1 …)."""

    def __init__(self, host: str = "127.0.0.1", tls: tuple[Path, Path] | None = None) -> None:
        self.host = host
        self.pages: dict[str, list[Page]] = {}
        self.requests: list[Seen] = []
        self.stored: dict[str, bytes] = {}
        self.sent = 0  # bytes of bodies
        self.busy = self.busiest = 0  # bodies under way: now, and at most
        self.at_once, self.refusal = 0, 503  # so many bodies are allowed (0: any number), who is one more gets this
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.tls: ssl.SSLContext | None = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self._server = Server(host, _Handler, self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="origin")
        self._thread.start()

    def __enter__(self) -> Origin:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def put(self, path: str, *pages: Page | bytes) -> str:
        """Serve these pages, one a request, at `path`; its address."""
        made = [Page(page) if isinstance(page, bytes) else page for page in pages]
        with self.lock:
            self.pages[path] = made
        return self.url + path

    def redirect(self, path: str, location: str, status: int = 302) -> str:
        return self.put(path, Page(status=status, headers={"Location": location}))

    def seen(self, path: str = "") -> list[Seen]:
        """The requests so far, of one path (without query) or all."""
        with self.lock:
            return [seen for seen in self.requests if not path or seen.path.partition("?")[0] == path]

    def take(self, seen: Seen) -> Page | None:
        path = seen.path.partition("?")[0]
        with self.lock:
            self.requests.append(seen)
            pages = self.pages.get(path)
            if not pages:
                return None
            return pages.pop(0) if len(pages) > 1 else pages[0]


class Server(ThreadingHTTPServer):
    """For who has a `tls`, perhaps None."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, handler: type[BaseHTTPRequestHandler], owner: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.owner = owner
        super().__init__((host, 0), handler)

    def server_bind(self) -> None:  # without the reverse look-up of the base class
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "origin", self.server_address[1]

    def finish_request(self, request: socket.socket, address: object) -> None:
        if self.owner.tls:
            request.settimeout(10)
            request = self.owner.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, address)

    def handle_error(self, request: object, address: object) -> None:  # clients that leave are the point here
        return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *what: object) -> None:
        return

    def do_GET(self) -> None:
        page = self._page()
        if page is None:
            self._head(404, {"Content-Length": "0"})
        elif self._allowed(page):
            self._serve(page)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        page = self._page()
        if page is None or (page.status < 300 and not page.silent):
            self.server.owner.stored[self.path] = self.server.owner.seen()[-1].body
            self._head(page.status if page else 201, {"Content-Length": "0"})
        elif self._allowed(page):
            self._serve(page)

    do_POST = do_PUT

    def _page(self) -> Page | None:
        origin = self.server.owner
        with origin.lock:
            coming = (origin.pages.get(self.path.partition("?")[0]) or [None])[0]
        size = int(self.headers.get("Content-Length", 0)) if coming is None or coming.read_body else 0
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionAbortedError
        page = origin.take(Seen(self.command, self.path, headers, body, self.client_address[1]))
        if page and page.silent:
            self.close_connection = True
            raise ConnectionAbortedError
        return page

    def _allowed(self, page: Page) -> bool:
        expected = "Basic " + base64.b64encode(page.user.encode()).decode()
        if not page.user or self.headers.get("Authorization") == expected:
            return True
        self._head(401, {"WWW-Authenticate": 'Basic realm="x"', "Content-Length": "0"})
        return False

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _serve(self, page: Page) -> None:
        try:
            if self._count(1):
                self._answer(page)
            else:
                self._head(self.server.owner.refusal, {"Content-Length": "0"})
        finally:
            self._count(-1)

    def _count(self, more: int) -> bool:
        origin = self.server.owner
        with origin.lock:
            origin.busy += more
            allowed = not origin.at_once or origin.busy <= origin.at_once
            origin.busiest = max(origin.busiest, origin.busy if allowed else 0)
        return allowed

    def _answer(self, page: Page) -> None:
        total = len(page.body)
        if page.status == 200 and page.tag and page.tag == self.headers.get("If-None-Match"):
            self._head(304, {"ETag": page.tag})
            return
        start, end = self._part(page)
        status = 206 if (start, end) != (0, total) or (start is not None and self._ranged) else page.status
        body = page.body[start:end] + page.extra
        headers = {
            "Last-Modified": page.last_modified,
            "ETag": page.tag,
            "Accept-Ranges": "bytes" if page.ranges else "none",
        }
        if status == 206:
            headers["Content-Range"] = f"bytes {start + page.shift}-{end - 1 + page.shift}/{total}"
        if page.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif page.length is None:
            headers["Content-Length"] = str(len(body))
        elif page.length >= 0:
            headers["Content-Length"] = str(page.length)
        if page.length == -1:
            headers["Connection"] = "close"
        merged = {**headers, **page.headers}
        self._head(status, {name: value for name, value in merged.items() if value})
        if self.command != "HEAD":
            self._body(page, body)

    def _part(self, page: Page) -> tuple[int, int]:
        total = len(page.body)
        self._ranged = False
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        same = condition is None or condition in (page.tag, page.last_modified) or not page.if_range
        if not found or not page.ranges or not same or page.status != 200 or int(found[1]) >= total:
            return 0, total
        self._ranged = True
        return int(found[1]), min(int(found[2] or total - 1) + 1, total, int(found[1]) + (page.limit or total))

    def _body(self, page: Page, body: bytes) -> None:
        stop = page.cut_after if page.cut_after is not None else page.stall_after
        sent, step = 0, max(1, page.rate // 20) if page.rate else 1 << 16
        while sent < len(body) and (stop is None or sent < stop):
            piece = body[sent : min(sent + step, len(body) if stop is None else stop)]
            # the length of a chunk is promised first: a cut falls inside of it
            head = b"%x\r\n" % (len(piece) + (stop is not None and sent + len(piece) >= stop))
            self.wfile.write(head + piece + b"\r\n" if page.chunked else piece)
            sent += len(piece)
            with self.server.owner.lock:
                self.server.owner.sent += len(piece)
            if page.rate:
                time.sleep(0.05)
        self.wfile.flush()
        if page.stall_after is not None and sent < len(body):
            self.server.owner.stopped.wait(60)
        if sent < len(body) or page.length is not None:
            self._cut(page)
        elif page.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _cut(self, page: Page) -> None:
        self.close_connection = True
        if page.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_WR)


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A CA of our own and a certificate for localhost and 127.0.0.1: (CA, certificate, key)."""
    ca, ca_key, cert, key, request = (folder / n for n in ("ca.pem", "ca.key", "cert.pem", "cert.key", "cert.csr"))
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = folder / "names"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    run = ["openssl"]
    for command in (
        ["req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-days", "30", "-subj", "/CN=videod test CA"],
        ["req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-days", "30", "-extfile", names, "-out", cert],
    ):
        subprocess.run([*run, *map(str, command)], check=True, capture_output=True, cwd=folder)
    return ca, cert, key
