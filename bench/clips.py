"""What 30 s out of the middle of 20 minutes cost: videod beside the usual ways, in one run, as ratios.

    python bench/clips.py [--source FILE] [--start S] [--seconds S] [--smartcut PROGRAM]

The source is made when none is given (1080p, 5 Mbit/s, H.264 and AAC, moov at the end: takes minutes) and served by
nginx, plain and limited to 20 MiB/s. CPU is of the whole tree, without servers; bytes are those of nginx' log; frames
are compared with those of the source, one by one. `--smartcut` is the program of that name, from an environment of
its own (pip install smartcut).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 20 << 20
NGINX = """daemon on; pid {here}/nginx.pid; error_log {here}/error.log; worker_processes 1;
events {{}}
http {{ access_log {here}/access.log; client_body_temp_path {here}/t1; proxy_temp_path {here}/t2;
  fastcgi_temp_path {here}/t3; uwsgi_temp_path {here}/t4; scgi_temp_path {here}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
  server {{ listen 127.0.0.1:{slow}; root {root}; limit_rate {limit}; }} }}
"""
RUN = ("ffmpeg", "-nostdin", "-v", "error", "-y")


@dataclass
class Row:
    """What one way took."""

    name: str
    wall: float
    cpu: float
    fetched: int
    right: str = ""
    same: int = 0


class Bench:
    """The servers and the source."""

    def __init__(self, here: Path, source: Path, start: float, seconds: float) -> None:
        self.here, self.source, self.start, self.seconds = here, source, start, seconds
        self.port, self.slow = 18765, 18766
        conf = here / "nginx.conf"
        conf.write_text(
            NGINX.format(here=here, port=self.port, slow=self.slow, root=source.parent, limit=f"{LIMIT >> 20}m")
        )
        subprocess.run(["nginx", "-c", str(conf)], check=True)

    def url(self, slow: bool) -> str:
        return f"http://127.0.0.1:{self.slow if slow else self.port}/{self.source.name}"

    def sent(self) -> int:
        """Bytes of all bodies so far."""
        log = self.here / "access.log"
        return sum(int(line.split('"')[2].split()[1]) for line in log.read_text().splitlines()) if log.exists() else 0

    def measured(self, name: str, work: Callable[[], object]) -> Row:
        before, usage, begun = self.sent(), resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        work()
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
        time.sleep(0.2)  # nginx writes its log when a request has ended
        return Row(name, wall, cpu, self.sent() - before)

    def close(self) -> None:
        subprocess.run(["nginx", "-c", str(self.here / "nginx.conf"), "-s", "stop"], check=False)


def make_source(out: Path) -> None:
    """20 minutes: one minute of noisy pictures, twenty times."""
    minute = out.with_name("minute.mp4")
    picture = ["-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30:d=60,noise=alls=6:allf=t"]
    sound = ["-f", "lavfi", "-i", "sine=f=440:d=60:r=48000"]
    codecs = ["-c:v", "libx264", "-preset", "fast", "-b:v", "5M", "-maxrate", "8M", "-bufsize", "10M", "-c:a", "aac"]
    subprocess.run([*RUN, *picture, *sound, *codecs, str(minute)], check=True)
    subprocess.run([*RUN, "-stream_loop", "19", "-i", str(minute), "-c", "copy", str(out)], check=True)
    minute.unlink()


def hashes(path: Path, start: float | None = None, seconds: float = 0.0) -> list[str]:
    """A digest of each decoded frame; of a source those whose time lies in the part."""
    entry = ["-ss", f"{max(0.0, start - 15):.3f}"] if start is not None else []
    argv = [*RUN, *entry, "-copyts", "-i", str(path), "-map", "0:v", "-fps_mode", "passthrough"]
    if start is not None:
        argv += ["-filter:v", f"trim=start={start}:end={start + seconds}"]
    out = subprocess.run([*argv, "-f", "framemd5", "-"], capture_output=True, text=True, check=True).stdout
    return [line.rsplit(",", 1)[1].strip() for line in out.splitlines() if not line.startswith("#")]


def judge(row: Row, out: Path, truth: list[str]) -> None:
    found, known = hashes(out), set(truth)
    row.right, row.same = f"{len(found)}/{len(truth)}", sum(one in known for one in found)


def ways(bench: Bench, folder: Path, slow: bool, smartcut: str) -> dict[str, Callable[[], object]]:
    """The peers: each leaves its clip in `folder`."""
    url, start, seconds = bench.url(slow), f"{bench.start:g}", f"{bench.seconds:g}"
    whole = folder / "whole.mp4"

    def run(*argv: str) -> None:
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)

    def naive() -> None:
        run("wget", "-q", "-O", str(whole), url)
        medium = ("-c:v", "libx264", "-preset", "medium", "-crf", "18", "-c:a", "aac")
        run(*RUN, "-ss", start, "-i", str(whole), "-t", seconds, *medium, str(folder / "naive.mp4"))

    def copied() -> None:
        run("wget", "-q", "-O", str(whole), url)
        run(*RUN, "-ss", start, "-i", str(whole), "-t", seconds, "-c", "copy", str(folder / "wget-copy.mp4"))

    def direct() -> None:
        run(*RUN, "-ss", start, "-i", url, "-t", seconds, "-c", "copy", str(folder / "url-copy.mp4"))

    def smart() -> None:
        run("wget", "-q", "-O", str(whole), url)
        keep = f"{start},{bench.start + bench.seconds:g}"
        run(smartcut, str(whole), str(folder / "smartcut.mp4"), "--keep", keep)

    found: dict[str, Callable[[], object]] = {"naive": naive, "wget-copy": copied, "url-copy": direct}
    return {**found, "smartcut": smart} if smartcut else found


def ours(bench: Bench, folder: Path, slow: bool) -> Row:
    """The same by a daemon of one slot; CPU is that of the job as its event tells it."""
    socket = folder / "r.sock"
    serve = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(serve, stdout=subprocess.DEVNULL)
    ini = folder / "v.ini"
    paths = f"state_dir={folder}/state\npid_file={folder}/v.pid\ndebug_log={folder}/v.log\nupload=file:{folder}/"
    ini.write_text(f"[DEFAULT]\nredis=unix://{socket}\nallow_hosts=* 127.0.0.1\n{paths}\n")
    command = [sys.executable, "-m", "videod", "-c", str(ini)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    while not socket.exists():
        time.sleep(0.01)
    try:
        subprocess.run([*command, "start", "prod"], check=True, env=environ, stdout=subprocess.DEVNULL)
        r, before, begun = redis.Redis(unix_socket_path=str(socket)), bench.sent(), time.monotonic()
        message = {"id": "videod", "url": bench.url(slow), "start": bench.start, "duration": bench.seconds}
        r.lpush("video_info_queue", json.dumps({**message, "reply_to": "reply", "upload": f"file:{folder}/videod.mp4"}))
        event: dict[str, object] = {}
        while event.get("event") not in ("done", "dead"):
            _, text = r.brpop("reply")
            event = json.loads(text)
        wall = time.monotonic() - begun
        assert event["event"] == "done", event
        time.sleep(0.2)
        return Row("videod", wall, float(str(event["cpu_seconds"])), bench.sent() - before)
    finally:
        subprocess.run([*command, "stop", "prod"], check=False, env=environ, stdout=subprocess.DEVNULL)
        server.terminate()
        server.wait()


def show(title: str, rows: list[Row]) -> None:
    print(
        f"{title:12} {'wall s':>8} {'CPU s':>8} {'MB':>8} {'frames':>9} {'bit-equal':>9}   naive/it: wall, CPU, bytes"
    )
    naive = rows[0]
    for row in rows:
        ratios = f"{naive.wall / row.wall:6.1f} {naive.cpu / row.cpu:6.1f} {naive.fetched / max(1, row.fetched):6.1f}"
        figures = f"{row.wall:8.2f} {row.cpu:8.2f} {row.fetched / 1e6:8.1f} {row.right:>9} {row.same:9}"
        print(f"{row.name:12} {figures}   {ratios}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--source", type=Path)
    options.add_argument("--start", type=float, default=605.0)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--smartcut", default="")
    asked = options.parse_args()
    here = Path(tempfile.mkdtemp(prefix="videod-clips-"))
    here.chmod(0o755)
    source = asked.source or here / "long.mp4"
    bench = None
    try:
        if not asked.source:
            make_source(source)
        bench = Bench(here, source.resolve(), asked.start, asked.seconds)
        truth = hashes(source, asked.start, asked.seconds)
        for slow in (False, True):
            folder = here / ("slow" if slow else "plain")
            folder.mkdir()
            rows = []
            for name, way in ways(bench, folder, slow, asked.smartcut).items():
                rows.append(bench.measured(name, way))
                judge(rows[-1], folder / f"{name}.mp4", truth)
            rows.append(ours(bench, folder, slow))
            judge(rows[-1], folder / "videod.mp4", truth)
            show("20 MiB/s" if slow else "loopback", rows)
    finally:
        if bench:
            bench.close()
        shutil.rmtree(here)


if __name__ == "__main__":
    main()
