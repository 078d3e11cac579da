"""Many files of one task: videod's batch against `xargs -P20 wget`, and aiohttp where it is there; ratios.

    python bench/batch.py [--times N]

nginx on loopback serves the files. Memory is that of the daemon's process above idle (PSS, its highest while the task
runs); aiohttp runs 20 downloads at once, as the batch does.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.node import Node

SETS = {"100 x 10 MB": (100, 10_000_000), "1000 x 100 KB": (1000, 100_000)}
AIOHTTP = """
import asyncio, hashlib, sys, aiohttp
async def one(session, gate, url, path):
    digest = hashlib.sha256()
    async with gate, session.get(url) as response:
        with open(path, "wb") as file:
            async for piece in response.content.iter_chunked(1 << 16):
                file.write(piece)
                SUM
async def main(folder, urls):
    gate = asyncio.Semaphore(20)
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one(session, gate, u, f"{folder}/{n}") for n, u in enumerate(urls)))
asyncio.run(main(sys.argv[1], sys.stdin.read().split()))
"""


def pss(pid: int) -> float:
    """MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) / 1000


class Peak(threading.Thread):
    """The highest PSS of a process while it is watched."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.pid, self.over = pid, threading.Event()
        self.most = pss(pid)

    def run(self) -> None:
        while not self.over.wait(0.1):
            self.most = max(self.most, pss(self.pid))


def children() -> float:
    """CPU seconds of our children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(work: Callable[[], object], cpu: Callable[[], float]) -> tuple[float, float]:
    """Seconds, and CPU seconds."""
    before, begun = cpu(), time.monotonic()
    work()
    wall = time.monotonic() - begun
    return wall, cpu() - before


def wget(urls: list[str], folder: Path) -> None:
    argv = ["xargs", "-P20", "-n1", "wget", "-q", "-P", str(folder)]
    subprocess.run(argv, input="\n".join(urls), text=True, check=True)


def wget_and_sum(urls: list[str], folder: Path) -> None:
    """What videod promises: the SHA-256 of each file."""
    each = 'wget -q -P "$1" "$2" && sha256sum "$1/${2##*/}"'
    argv = ["xargs", "-P20", "-n1", "sh", "-c", each, "sh", str(folder)]
    subprocess.run(argv, input="\n".join(urls), text=True, check=True, stdout=subprocess.DEVNULL)


def aiohttp(urls: list[str], folder: Path, *, summed: bool = False) -> None:
    program = AIOHTTP.replace("SUM", "digest.update(piece)" if summed else "pass")
    argv, environ = [sys.executable, "-c", program, str(folder)], {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    subprocess.run(argv, input="\n".join(urls), text=True, check=True, env=environ)


def videod(node: Node, urls: list[str], ident: str) -> None:
    entries = [{"fn": url.rpartition("/")[2], "url": url} for url in urls]
    event = node.ended({"task_id": ident, "task_info": entries}, f"batch:{ident}")
    if event["event"] != "done":
        sys.exit(json.dumps(event)[:2000])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--times", type=int, default=3)
    times = options.parse_args().times
    with closing(Node(max_worker=1, connections_per_host=20)) as node:
        root = node.folder / "www"
        root.mkdir()
        for count, size in SETS.values():
            body = os.urandom(size)
            for n in range(count):
                (root / f"{size}-{n}.bin").write_bytes(body)
        nginx = node.nginx(root, 1 << 20)
        peers: dict[str, Callable[[list[str], Path], object]] = {"xargs wget": wget, "and sha256sum": wget_and_sum}
        if importlib.util.find_spec("aiohttp"):
            peers |= {"aiohttp": aiohttp, "and SHA-256": partial(aiohttp, summed=True)}
        videod(node, [nginx.url("100000-0.bin")], "warm")
        idle = pss(node.pid)
        for title, (count, size) in SETS.items():
            urls = [nginx.url(f"{size}-{n}.bin") for n in range(count)]
            spent: dict[str, list[tuple[float, float]]] = {}
            for turn in range(times):
                work = partial(videod, node, urls, f"{size}-{turn}")
                spent.setdefault("videod", []).append(timed(work, node.cpu))
                shutil.rmtree(node.folder / "state/downloads")
                for name, peer in peers.items():
                    folder = node.folder / "peer"
                    folder.mkdir()
                    spent.setdefault(name, []).append(timed(partial(peer, urls, folder), children))
                    shutil.rmtree(folder)
            peak = Peak(node.pid)  # by itself: to be looked at costs time
            peak.start()
            videod(node, urls, f"{size}-peak")
            peak.over.set()
            peak.join()
            shutil.rmtree(node.folder / "state/downloads")
            ours = statistics.median(wall for wall, _ in spent["videod"])
            for name, found in spent.items():
                wall, cpu = (statistics.median(each) for each in zip(*found, strict=True))
                figures = f"{wall:7.2f} s {cpu:6.2f} s CPU {count * size / wall / 1e6:6.0f} MB/s"
                print(f"{title:14} {name:13} {figures}   videod/it {ours / wall:.2f}", flush=True)
            print(f"{title:14} daemon's memory above idle: {peak.most - idle:.1f} MB")


if __name__ == "__main__":
    main()
