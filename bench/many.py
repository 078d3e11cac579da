"""What many clips of one message cost, beside a message for each: as ratios, in one run.

    python bench/many.py [--source FILE] [--start S] [--seconds S] [--clips N]

The clips adjoin one another, as chapters do, so that each group of pictures at a seam is needed by two of them. The
source is that of bench/clips.py and served by nginx.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

from clips import LIMIT, make_source
from node import Node


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--source", type=Path)
    options.add_argument("--start", type=float, default=605.3)
    options.add_argument("--seconds", type=float, default=13.7)
    options.add_argument("--clips", type=int, default=10)
    options.add_argument("--times", type=int, default=3)
    asked = options.parse_args()
    with closing(Node(max_worker=1, cache_bytes=0)) as node:
        source = asked.source or node.folder / "long.mp4"
        if not asked.source:
            make_source(source)
        nginx = node.nginx(source.resolve().parent, LIMIT)
        url = nginx.url(source.name)
        parts = [
            {"start": round(asked.start + n * asked.seconds, 3), "end": round(asked.start + (n + 1) * asked.seconds, 3)}
            for n in range(asked.clips)
        ]
        node.job(url=url, start=asked.start / 2, duration=20)  # what a daemon loads once
        ratios = []
        for _ in range(asked.times):
            before = nginx.sent()
            costs = [node.job(url=url, **part) for part in parts]
            alone, wall, sent = sum(cost.cpu for cost in costs), sum(c.wall for c in costs), nginx.sent() - before
            before = nginx.sent()
            together = node.job(url=url, clips=parts)
            ratios.append(together.cpu / alone)
            made = sum(one["frames"] for one in together.event["outputs"])
            assert {one["cut"] for one in together.event["outputs"]} == {"smart"}
            print(f"{asked.clips} messages: {wall:.2f} s, CPU {alone:.2f} s, {sent / 1e6:.1f} MB")
            fetched = (nginx.sent() - before) / 1e6
            print(f"one message: {together.wall:.2f} s, CPU {together.cpu:.2f} s, {fetched:.1f} MB, {made} frames")
        print("CPU of one message to that of many: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
