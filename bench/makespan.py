"""What it brings that more jobs run than encode: 8 jobs of 10 s of download and some 4 s of encoding each.

    python bench/makespan.py

Twice in one run: a pool of as many slots as cores, the usual way; and 8 slots, of which as many as cores encode at
once (`max_worker = 8`, `max_encode` as it is). Prints seconds from the push to the last end, and their ratio.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.conftest import RedisServer, pytest_configure
from tests.daemon import Daemon, events, push, until
from tests.origin import Origin, Page

JOBS, DOWNLOAD, ENCODE = 8, 10.0, 4.0
CORES = os.cpu_count() or 1
MADE = "testsrc2=s=1280x720:r=30,noise=alls=8:allf=t"
SPEED = ["-c:v", "libx264", "-preset", "medium", "-crf", "20"]


def encoded(argv: list[str]) -> float:
    begun = time.monotonic()
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *argv], check=True)
    return time.monotonic() - begun


def make_source(path: Path) -> None:
    """A video that one thread encodes in about ENCODE seconds with the default preset."""
    encoded(["-f", "lavfi", "-i", MADE, "-t", "4", *SPEED, str(path)])
    probe = path.with_name("probe.mp4")
    took = encoded(["-threads", "1", "-i", str(path), *SPEED, "-threads", "1", str(probe)])
    seconds = 4 * ENCODE / took
    encoded(["-f", "lavfi", "-i", MADE, "-t", f"{seconds:.2f}", *SPEED, str(path)])


def makespan(daemon: Daemon, redis_server: RedisServer, url: str, slots: int) -> float:
    r = redis_server.client()
    r.flushall()
    daemon.start(max_worker=slots, max_encode=CORES)
    begun = time.monotonic()
    push(r, *[{"id": f"{slots}-{n}", "url": url, "cut": "encode"} for n in range(JOBS)])
    ends: list[str] = []

    def over() -> bool:
        ends[:] = [event["event"] for event in events(r) if event["event"] in ("done", "dead", "cancelled")]
        return len(ends) == JOBS

    until(over, 600, "all end")
    took = time.monotonic() - begun
    daemon.stop()
    assert ends == ["done"] * JOBS, ends
    return took


def main() -> None:
    pytest_configure()
    folder = Path(tempfile.mkdtemp(prefix="videod-makespan-"))
    redis_server = RedisServer(folder)
    redis_server.start()
    try:
        source = folder / "source.mp4"
        make_source(source)
        body = source.read_bytes()
        daemon = Daemon(folder, redis_server.url)
        daemon.settings["allow_hosts"] = "* 127.0.0.1"
        with Origin() as origin:
            url = origin.put("/v.mp4", Page(body, rate=int(len(body) / DOWNLOAD), ranges=False))
            pool, split = (makespan(daemon, redis_server, url, slots) for slots in (CORES, JOBS))
        print(f"{JOBS} jobs of {len(body) / 1e6:.1f} MB on {CORES} cores: pool of {CORES}: {pool:.1f} s,", end=" ")
        print(f"{JOBS} slots of which {CORES} encode: {split:.1f} s: split/pool {split / pool:.2f}")
    finally:
        redis_server.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
