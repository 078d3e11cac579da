"""How the cost of a clip grows with the length of its source, and with its own.

    python bench/growth.py [--plot docs/growth.svg]

Sources of 1 minute to 10 hours (640x360, H.264 and AAC, moov at the end), served by nginx; clips of 30 s out of the
middle, then clips of 5 s to 10 minutes out of one hour. The index is told apart: it alone grows with the source.
CPU is of the daemon and all its children. `--plot` needs matplotlib.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from node import Nginx, Node

MINUTES = (1, 10, 60, 600)
SECONDS = (5.0, 30.0, 120.0, 600.0)
ROUNDS = 3
TITLE = "<title>What a clip costs, by the length of its source and by its own</title>"
DARK = "<style>@media (prefers-color-scheme: dark) { svg { filter: invert(0.9) hue-rotate(180deg) } }</style>"
RUN = ("ffmpeg", "-nostdin", "-v", "error", "-y")


@dataclass(frozen=True)
class Point:
    """The median of some rounds."""

    length: float
    wall: float
    cpu: float
    fetched: int
    index: int


def make(folder: Path) -> dict[int, Path]:
    """The sources, by minutes: one minute of noisy pictures, again and again."""
    minute = folder / "1.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=30:d=60,noise=alls=6:allf=t"]
    sound = ["-f", "lavfi", "-i", "sine=f=440:d=60:r=48000"]
    codecs = ["-c:v", "libx264", "-preset", "fast", "-b:v", "400k", "-maxrate", "600k", "-bufsize", "800k"]
    subprocess.run([*RUN, *picture, *sound, *codecs, "-c:a", "aac", "-b:a", "48k", str(minute)], check=True)
    found = {1: minute}
    for minutes in MINUTES[1:]:
        found[minutes] = folder / f"{minutes}.mp4"
        again = ["-stream_loop", str(minutes - 1), "-i", str(minute), "-c", "copy"]
        subprocess.run([*RUN, *again, str(found[minutes])], check=True)
    return found


def measure(node: Node, nginx: Nginx, path: Path, start: float, seconds: float, length: float) -> Point:
    rounds = []
    index = index_of(path)
    for _ in range(ROUNDS):
        before = nginx.sent()
        cost = node.job(url=nginx.url(path.name), start=start, duration=seconds)
        rounds.append(Point(length, cost.wall, cost.cpu, nginx.sent() - before, index))
    return sorted(rounds, key=lambda point: point.cpu)[ROUNDS // 2]


def index_of(path: Path) -> int:
    """Bytes of moov, the last box."""
    at = 0
    with open(path, "rb") as file:
        while head := file.read(16):
            size = int.from_bytes(head[:4], "big")
            size = int.from_bytes(head[8:16], "big") if size == 1 else size
            if head[4:8] == b"moov":
                return size
            at += size
            file.seek(at)
    raise ValueError("no moov")


def show(what: str, points: list[Point]) -> None:
    heads = f"{'wall s':>8} {'CPU s':>8} {'MB':>8} {'index MB':>9} {'MB beside it':>13}"
    print(f"{what:>12} {heads}   it/first: wall, CPU, bytes")
    first = points[0]
    for p in points:
        beside = p.fetched - p.index, first.fetched - first.index
        ratios = f"{p.wall / first.wall:6.2f} {p.cpu / first.cpu:6.2f} {beside[0] / beside[1]:6.2f}"
        figures = f"{p.wall:8.2f} {p.cpu:8.2f} {p.fetched / 1e6:8.2f} {p.index / 1e6:9.2f} {beside[0] / 1e6:13.2f}"
        print(f"{p.length:12g} {figures}   {ratios}", flush=True)


def plot(path: Path, by_source: list[Point], by_clip: list[Point]) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "videod"
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6))
    names = "source, minutes (30 s clip)", "clip, seconds (of 1 h)"
    for axis, points, name in zip(axes, (by_source, by_clip), names, strict=True):
        lengths = [p.length for p in points]
        axis.plot(lengths, [p.wall for p in points], "o-", label="wall, s")
        axis.plot(lengths, [p.cpu for p in points], "s-", label="CPU, s")
        axis.plot(lengths, [(p.fetched - p.index) / 1e6 for p in points], "^-", label="fetched beside the index, MB")
        axis.plot(lengths, [p.index / 1e6 for p in points], "v:", label="index, MB")
        axis.set(xscale="log", yscale="log", xlabel=name)
        axis.grid(visible=True, which="major", alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    drawn = io.StringIO()
    figure.savefig(drawn, metadata={"Date": None})
    path.write_text(re.sub(r"(<svg [^>]*>)", rf"\1{TITLE}{DARK}", drawn.getvalue(), count=1))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--plot", type=Path)
    asked = options.parse_args()
    with closing(Node(max_worker=1)) as node:
        sources = make(node.folder)
        nginx = node.nginx(node.folder, 20 << 20)
        node.job(url=nginx.url(sources[1].name), start=1, duration=5)  # what is loaded once
        by_source = [measure(node, nginx, path, 30.0 * m + 5.3 - 15, 30.0, m) for m, path in sources.items()]
        show("minutes", by_source)
        by_clip = [measure(node, nginx, sources[60], 1805.3, seconds, seconds) for seconds in SECONDS]
        show("clip s", by_clip)
        if asked.plot:
            plot(asked.plot, by_source, by_clip)


if __name__ == "__main__":
    main()
