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
import re
import resource
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from node import Node

LIMIT = 20 << 20
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

    def __init__(self, node: Node, source: Path, start: float, seconds: float) -> None:
        self.node, self.source, self.start, self.seconds = node, source, start, seconds
        self.nginx = node.nginx(source.parent, LIMIT)

    def url(self, slow: bool) -> str:
        return self.nginx.url(self.source.name, slow=slow)

    def measured(self, name: str, work: Callable[[], object]) -> Row:
        before, usage, begun = self.nginx.sent(), resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        work()
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
        return Row(name, wall, cpu, self.nginx.sent() - before)


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
        run(smartcut, str(whole), str(folder / "smartcut.mp4"), "--keep", keep, "--log-level", "error")

    found: dict[str, Callable[[], object]] = {"naive": naive, "wget-copy": copied, "url-copy": direct}
    return {**found, "smartcut": smart} if smartcut else found


def ours(bench: Bench, folder: Path, slow: bool) -> Row:
    """The same by a daemon."""
    before = bench.nginx.sent()
    cost = bench.node.job(url=bench.url(slow), start=bench.start, duration=bench.seconds)
    Path(cost.event["outputs"][0]["url"].removeprefix("file://")).rename(folder / "videod.mp4")
    return Row("videod", cost.wall, cost.cpu, bench.nginx.sent() - before)


def least(source: Path, start: float, seconds: float) -> tuple[int, int]:
    """Bytes that any exact clip needs: packets from the key frame at or before its start on, and the index."""
    argv = ["ffprobe", "-v", "error", "-show_entries", "packet=codec_type,pts_time,size,flags", "-of", "json"]
    argv += ["-read_intervals", f"{max(0.0, start - 15)}%{start + seconds + 2}", str(source)]
    out = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    packets = [(p["codec_type"], float(p["pts_time"]), int(p["size"]), p["flags"]) for p in json.loads(out)["packets"]]
    key = max(time for kind, time, _, flags in packets if kind == "video" and "K" in flags and time <= start)
    clip = sum(size for _, time, size, _ in packets if key <= time < start + seconds)
    trace = subprocess.run(["ffprobe", "-v", "trace", str(source)], capture_output=True, text=True, check=True).stderr
    return clip, max(int(size) for size in re.findall(r"type:'moov' parent:'root' sz: (\d+)", trace))


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
    with closing(Node(max_worker=1)) as node:
        here = node.folder
        source = asked.source or here / "long.mp4"
        if not asked.source:
            make_source(source)
        bench = Bench(node, source.resolve(), asked.start, asked.seconds)
        node.job(url=bench.url(slow=False), start=asked.start / 2, duration=20)  # what a daemon loads once
        truth = hashes(source, asked.start, asked.seconds)
        clip, index = least(source, asked.start, asked.seconds)
        print(f"clip {clip / 1e6:.2f} MB, index {index / 1e6:.2f} MB of {source.stat().st_size / 1e6:.1f} MB")
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
            print(f"videod fetched {rows[-1].fetched / (clip + index):.3f} of clip and index")


if __name__ == "__main__":
    main()
