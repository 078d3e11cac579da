"""Browsers that wait: N of them on one `videod web`, and events as a daemon writes them, so many a second in all.

    python bench/web_live.py [--clients N] [--rate N] [--seconds N]

The delay is that from just before an event is written into Redis to when its state was read by a client; this process
holds all clients and takes part of it. CPU and memory are those of `videod web` alone, memory as PSS.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.dispatch import cpu, pss, until  # noqa: E402
from videod.config import Settings, load  # noqa: E402
from videod.events import Teller  # noqa: E402
from videod.job import Head  # noqa: E402
from videod.jobqueue import Claim, Connection, JobQueue  # noqa: E402
from videod.jobqueue.pages import Page, Pages  # noqa: E402
from videod.message import fresh  # noqa: E402

PORT = 18790


def jobs_of(settings: Settings, connection: Connection, number: int) -> list[Claim]:
    """So many jobs with a page each, that a daemon runs."""
    queue, pages, claims = JobQueue(settings, connection), Pages(settings, connection), []
    for n in range(number):
        ident = f"w{n:024d}"
        message = json.dumps({"id": ident, "kind": "convert", "url": "file:///nowhere"})
        pages.submit(Page(ident, "somebody", "film.mp4", "", message, ""), None)
        taken = queue.take()
        assert taken
        envelope = fresh(ident, taken.element, taken.origin)
        ours = Claim.of(envelope, Teller(ident, "convert", settings.node), Head())
        record = {"state": "running", "kind": "convert", "token": envelope.token, "stage": "", "percent": 0}
        queue.claim(taken, ours, token="", again=False, bad=False, record=record)
        claims.append(ours)
    return claims


class Watching:
    """All clients: when each state came, by job and percent."""

    def __init__(self) -> None:
        self.came: dict[tuple[str, float], float] = {}
        self.ready = 0

    async def one(self, ident: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(f"GET /j/{ident}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode())
        first = True
        while line := await reader.readline():
            if line.startswith(b"HTTP/1.1") and b" 200 " not in line:
                sys.exit(f"{line!r}")
            if line.startswith(b"data: "):
                state = json.loads(line[6:])
                self.came[ident, state["percent"]] = time.monotonic()
                self.ready += first
                first = False


async def measure(
    settings: Settings, connection: Connection, claims: list[Claim], pid: int, rate: float, seconds: float
) -> None:
    watching, queue = Watching(), JobQueue(settings, connection)
    before = pss(pid)
    begun = time.monotonic()
    tasks = []
    for claim in claims:
        tasks.append(asyncio.ensure_future(watching.one(claim.envelope.id)))
        if len(tasks) % 50 == 0:
            await asyncio.sleep(0.02)
    while watching.ready < len(claims):
        await asyncio.sleep(0.05)
    print(f"{len(claims)} clients connected and told in {time.monotonic() - begun:.1f} s")
    await asyncio.sleep(2)
    held = (pss(pid) - before) * 1024 / len(claims)
    dice, sent, percent = random.Random(1), {}, {}
    busy, begun = cpu(pid), time.monotonic()
    for n in range(round(rate * seconds)):
        claim = dice.choice(claims)
        ident = claim.envelope.id
        percent[ident] = percent.get(ident, 0) + 1.5
        sent[ident, percent[ident]] = time.monotonic()
        queue.progress(claim, "encode", percent[ident], "1.0x")
        await asyncio.sleep(max(0.0, begun + (n + 1) / rate - time.monotonic()))
    share = (cpu(pid) - busy) / (time.monotonic() - begun)
    await asyncio.sleep(1)
    delays = sorted((watching.came[key] - at) * 1000 for key, at in sent.items() if key in watching.came)
    # a state that was overtaken by a newer one of the same job is never told, by intention
    print(f"{len(sent)} events in {seconds:g} s: {len(delays)} states came, {len(sent) - len(delays)} were overtaken")
    p50, p95 = delays[len(delays) // 2], delays[int(len(delays) * 0.95)]
    print(f"delay: p50 {p50:.1f} ms, p95 {p95:.1f} ms (goal 250), max {delays[-1]:.1f} ms")
    print(f"memory: {held:.1f} KiB a client (goal 100), PSS {pss(pid):.1f} MiB in all")
    print(f"CPU of videod web: {share * 100:.1f} % of a core (goal 50)")
    for task in tasks:
        task.cancel()


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--clients", type=int, default=2000)
    options.add_argument("--rate", type=float, default=50)
    options.add_argument("--seconds", type=float, default=20)
    chosen = options.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    folder = Path(tempfile.mkdtemp(prefix="videod-bench-"))
    socket, ini = folder / "redis.sock", folder / "v.ini"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    ini.write_text(f"[DEFAULT]\nredis = unix://{socket}\nstate_dir = {folder}\nnode = n\n")
    until(lambda: socket.exists())
    r = redis.Redis(unix_socket_path=str(socket))
    settings = load(str(ini)).settings("prod")
    connection = Connection(settings)
    command = [sys.executable, "-m", "videod", "-c", str(ini), "web", "-e", "prod", "--listen", f"127.0.0.1:{PORT}"]
    web = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE)
    try:
        assert web.stderr and b"serving" in web.stderr.readline()
        claims = jobs_of(settings, connection, chosen.clients)
        asyncio.run(measure(settings, connection, claims, web.pid, chosen.rate, chosen.seconds))
    finally:
        web.terminate()
        web.wait()
        connection.close()
        r.shutdown(nosave=True)
        server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
