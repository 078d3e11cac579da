"""What a large upload costs `videod web`: memory, CPU, and how fast it is.

    python bench/web_upload.py [GIB] [WAY ...]

WAY: `one` (tus, one PATCH for all), `pieces` (tus, 8 MiB each, as the page's script does), `form` (without JavaScript).
Sends zeros from a pipe, 1 GiB by default, and prints the resident memory of the process before, at most and after.
Needs that much free space in the temporary folder.
"""

from __future__ import annotations

import http.client
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.conftest import RedisServer, pytest_configure
from tests.daemon import Daemon
from tests.web import TUS, Client, Web

MIB = 1 << 20
PIECE = 8 * MIB
TICKS = os.sysconf("SC_CLK_TCK")
WAYS = ("one", "pieces", "form")


class Zeros:
    """So many bytes out of a pipe, as a body of http.client; what stands before and behind them are its edges."""

    def __init__(self, size: int, before: bytes = b"", behind: bytes = b"") -> None:
        self._source, sink = os.pipe()
        self._left = size + len(before) + len(behind)

        def feed() -> None:
            with os.fdopen(sink, "wb") as pipe:
                pipe.write(before)
                for at in range(0, size, MIB):
                    pipe.write(bytes(min(MIB, size - at)))
                pipe.write(behind)

        threading.Thread(target=feed, daemon=True).start()

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            block = os.read(self._source, min(256 << 10, self._left))
            self._left -= len(block)
            yield block
        os.close(self._source)


def kib(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / TICKS


class Sender:
    """A client that streams."""

    def __init__(self, web: Web) -> None:
        self._web, self._client = web, Client(web)
        self._token = self._client.token()
        cookies = "; ".join(f"{name}={value}" for name, value in self._client.cookies.items())
        self._headers = {**TUS, "X-CSRF-Token": self._token, "Cookie": cookies}

    def _send(self, method: str, path: str, size: int, body: Zeros, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._web.port, timeout=600)
        sent = {**self._headers, "Content-Length": str(size), **headers}
        connection.request(method, path, body=iter(body), headers=sent)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (204, 303), (answer.status, text[:500])
        return answer

    def _patch(self, place: str, offset: int, size: int) -> None:
        kind = "application/offset+octet-stream"
        self._send("PATCH", place, size, Zeros(size), **{"Content-Type": kind, "Upload-Offset": str(offset)})

    def one(self, size: int) -> None:
        self._patch(self._client.create("zeros.mp4", size).headers["location"], 0, size)

    def pieces(self, size: int) -> None:
        place = self._client.create("zeros.mp4", size).headers["location"]
        for at in range(0, size, PIECE):
            self._patch(place, at, min(PIECE, size - at))

    def form(self, size: int) -> None:
        part = '--x\r\nContent-Disposition: form-data; name="'
        before = f'{part}token"\r\n\r\n{self._token}\r\n{part}file"; filename="zeros.mp4"\r\n\r\n'.encode()
        behind = b"\r\n--x--\r\n"
        whole = len(before) + size + len(behind)
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        self._send("POST", "/upload", whole, Zeros(size, before, behind), **kind)


def measure(way: str, size: int, web: Web, folder: Path) -> None:
    """One upload, by a process of its own, and one line about it."""
    assert web.process
    pid = web.process.pid
    sender = Sender(web)
    send: Callable[[int], None] = getattr(sender, way)
    send(MIB)
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the highest water mark begins anew
    before, used, begun = kib(pid, "VmRSS"), cpu(pid), time.monotonic()
    send(size)
    seconds, spent = time.monotonic() - begun, cpu(pid) - used
    peak, after = kib(pid, "VmHWM"), kib(pid, "VmRSS")
    files = [file.stat().st_size for file in folder.glob("uploads/*/file")]
    assert max(files) == size, files
    print(f"{way:7} {size / MIB:7.0f} MiB  {seconds:6.1f} s  {size / MIB / seconds:5.0f} MiB/s  {spent:5.1f} CPU s  "
          f"RSS {before / 1024:.1f} -> {peak / 1024:.1f} (peak) -> {after / 1024:.1f} MiB")  # fmt: skip


def main() -> None:
    pytest_configure()
    given = sys.argv[1:]
    size = round(float(given.pop(0)) * 1024) * MIB if given and given[0] not in WAYS else 1024 * MIB
    folder = Path(tempfile.mkdtemp(prefix="videod-bench-"))
    redis = RedisServer(folder)
    redis.start()
    try:
        for way in given or WAYS:
            daemon = Daemon(folder, redis.url)
            daemon.sections = "[web]\nmax_upload = 0\nquota_bytes = 0\n"
            daemon.write(stall_timeout="10m")
            web = Web(daemon).start()
            try:
                measure(way, size, web, daemon.state / "web")
            finally:
                web.stop()
                shutil.rmtree(daemon.state / "web")
    finally:
        redis.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
