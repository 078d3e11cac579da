"""How long to wait before another try."""

from __future__ import annotations

import random

LONGEST_DELAY = 3600.0


def delay_after(number: int, first: float) -> float:
    """Seconds after try `number`: `first`, doubled with each, at most an hour, ± 25 % so that many do not come at
    once."""
    spread = random.uniform(0.75, 1.25)  # noqa: S311
    return min(first * 2.0 ** min(number - 1, 30), LONGEST_DELAY) * spread
