"""Bars: how many jobs ended how, over time. Numbers for a template that makes SVG of them; no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from videod.jobqueue.figures import Bar

WIDTH, HEIGHT, GAP, TICKS = 720, 120, 2, 6
# from the bottom up; what is tried again is no end
SHOWN = (("done", "done"), ("cancelled", "cancelled"), ("dead", "failed"))


@dataclass(frozen=True)
class Column:
    """One bar: what it says, its parts (outcome, y, height), and the text below it, '' for none."""

    x: float
    width: float
    title: str
    parts: Sequence[tuple[str, float, float]]
    tick: str


@dataclass(frozen=True)
class Chart:
    """`words` tell the same to who does not see it; `top` is what the highest bar may reach."""

    words: str
    top: int
    columns: Sequence[Column]
    width: int = WIDTH
    height: int = HEIGHT


def chart(bars: Sequence[Bar]) -> Chart:
    """The chart of these bars."""
    top = max((sum(bar.ended[name] for name, _ in SHOWN) for bar in bars), default=0)
    wide, every = WIDTH / max(1, len(bars)), max(1, len(bars) // TICKS)
    columns = []
    for n, bar in enumerate(bars):
        at = datetime.fromtimestamp(bar.start, UTC).strftime("%H:%M")
        ended = ", ".join(f"{bar.ended[name]} {word}" for name, word in SHOWN if bar.ended[name])
        title = f"{at} UTC: {ended or 'nothing'}"
        columns.append(Column(n * wide, wide - GAP, title, _parts(bar, top or 1), "" if n % every else at))
    return Chart(_words(bars), top, columns)


def _parts(bar: Bar, top: int) -> list[tuple[str, float, float]]:
    parts, y = [], float(HEIGHT)
    for name, _ in SHOWN:
        if bar.ended[name]:
            height = bar.ended[name] / top * HEIGHT
            y -= height
            parts.append((name, y, height))
    return parts


def _words(bars: Sequence[Bar]) -> str:
    """All of it: `96 done, 4 failed (4.0 %), 1 tried again`."""
    sums = {name: sum(bar.ended[name] for bar in bars) for name in ("done", "dead", "cancelled", "retry")}
    judged = sums["done"] + sums["dead"]
    text = f"{sums['done']} done, {sums['dead']} failed" + (f" ({100 * sums['dead'] / judged:.1f} %)" if judged else "")
    text += f", {sums['cancelled']} cancelled" if sums["cancelled"] else ""
    return text + (f", {sums['retry']} tried again" if sums["retry"] else "")
