"""Sums that ffmpeg understands, however long."""

from __future__ import annotations

import pytest

from tests.videos import ffmpeg
from videod.media.counting import MOST_LEAPS
from videod.media.pick import MOST_HOLES, Pick
from videod.media.sums import total


def test_a_short_sum_is_plain() -> None:
    assert total(["a"]) == "a" and total(["a", "b", "c"]) == "a+b+c"


@pytest.mark.parametrize("count", [51, 99, MOST_LEAPS])
def test_a_long_sum_is_understood(count: int) -> None:
    late = total([f"gte(N,{n})*({count - n})" for n in range(1, count)])
    source = ("-f", "lavfi", "-i", "color=s=16x16:r=25:d=0.2")
    rows = ffmpeg(*source, "-vf", f"setpts='N+{late}'", "-fps_mode", "passthrough", "-f", "framecrc", "-").decode()
    times = [int(row.split(",")[2]) for row in rows.splitlines() if row[0] != "#"]
    wanted = [n + sum(count - k for k in range(1, n + 1)) for n in range(5)]
    assert times == wanted


def test_a_copy_may_leave_out_so_many_packets() -> None:
    source = ("-f", "lavfi", "-i", "sine=duration=9:sample_rate=48000")
    drop = Pick(1, 1000, tuple(range(3, 2 * MOST_HOLES + 3, 2))).drop
    rows = ffmpeg(*source, "-c:a", "pcm_s16le", "-bsf:a", f"noise=drop='{drop}'", "-f", "framecrc", "-").decode()
    whole = ffmpeg(*source, "-c:a", "pcm_s16le", "-f", "framecrc", "-").decode()
    count = [sum(row[0] != "#" for row in text.splitlines()) for text in (whole, rows)]
    holes = sum(n < count[0] for n in range(3, 2 * MOST_HOLES + 3, 2))
    assert count[0] > 300 and count[1] == count[0] - 1 - holes
