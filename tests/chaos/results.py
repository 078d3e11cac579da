"""Open what was uploaded: is it there, is it what the event says, does it hold the frames asked for?"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests import videos
from tests.chaos.load import Pushed
from tests.chaos.world import FILM_SECONDS

FPS = 25
MOST_DECODED = 150
Named = tuple[Pushed | None, Mapping[str, Any]]


class Results:
    """`wrong`: a line for each fault. `files` were compared by checksum, `decoded` by the barcodes of their frames."""

    def __init__(self, shared: Path, rng: random.Random) -> None:
        self._shared, self._rng = shared, rng
        self.files = self.decoded = 0
        self.wrong: list[str] = []
        self.counts: Counter[str] = Counter()

    def check(self, finals: list[Named]) -> None:
        """All by checksum and counts; a random part by decoding, which takes long."""
        jobs = [named for named in finals if named[1]["event"] == "done"]
        decoded = set(self._rng.sample(range(len(jobs)), min(MOST_DECODED, len(jobs))))
        seen: set[str] = set()
        for number, (pushed, event) in enumerate(jobs):
            spans = pushed.clips if pushed else [(0.0, float(FILM_SECONDS), "copy")]
            if len(event["outputs"]) != len(spans):
                self._fault("missing", event, f"{len(event['outputs'])} outputs of {len(spans)}")
                continue
            for span, output in zip(spans, event["outputs"], strict=True):
                path = Path(unquote(urlsplit(output["url"]).path))
                seen.add(path.name)
                self._one(path, span, output, event, decode=number in decoded)
        # a kill between link and rename leaves a hidden file, as docs/internals.md says of a crash
        names = {path.name for path in self._shared.iterdir()}
        self.counts["hidden"] = sum(name.startswith(".") for name in names)
        self.counts["unasked"] = len({name for name in names if not name.startswith(".")} - seen)

    def _one(self, path: Path, span: tuple[float, float, str], output: Any, event: Any, *, decode: bool) -> None:
        self.files += 1
        if not path.exists():
            self._fault("missing", event, f"{path.name} is not there")
            return
        body = path.read_bytes()
        if (len(body), hashlib.sha256(body).hexdigest()) != (output["bytes"], output["sha256"]):
            self._fault("checksum", event, f"{path.name} has {len(body)} bytes, the event says {output['bytes']}")
        start, end, cut = span
        first, after = math.ceil(Fraction(str(start)) * FPS), math.ceil(Fraction(str(end)) * FPS)
        if cut == "exact" and output["frames"] != after - first:
            self._fault("frames", event, f"{output['frames']} frames, wanted {after - first}")
        if decode:
            self.decoded += 1
            self._decode(path, (first, after, cut), output, event)

    def _decode(self, path: Path, wanted: tuple[int, int, str], output: Any, event: Any) -> None:
        first, after, cut = wanted
        numbers = videos.numbers(path)
        if len(numbers) != output["frames"] or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            self._fault("frames", event, f"the event says {output['frames']}, the file holds {numbers}")
        elif cut == "exact" and numbers[0] != first:
            self._fault("frames", event, f"begins with {numbers[0]}, not {first}")
        elif numbers[0] > first or numbers[-1] < after - 1:
            self._fault("frames", event, f"holds {numbers[0]}..{numbers[-1]}, asked for {first}..{after - 1}")

    def _fault(self, kind: str, event: Mapping[str, Any], text: str) -> None:
        self.counts[kind] += 1
        self.wrong.append(f"{event['id']}: {text}")
