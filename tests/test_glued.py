"""Program streams put behind one another: each clock goes on where the last one ended."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import psfiles, videos
from tests.media_fixtures import Bounds, Studio
from videod.media.clocks import WRAP, Extent, extent, follow, move, stamps
from videod.media.glued import glue, lacks_header

SECOND = 90_000
TOOLS: Any = SimpleNamespace(check=lambda: None)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    master = videos.make_master(tmp_path_factory.mktemp("glued") / "m.nut", seconds=4.0)
    return [psfiles.recording(master, start, 2.0) for start in (0, 2)]


def test_where_a_stream_begins_and_ends(parts: list[bytes]) -> None:
    assert extent(parts[0]) == Extent(SECOND, 3 * SECOND)
    assert extent(parts[0][40:]) == extent(b"junk" + parts[0]) == Extent(SECOND, 3 * SECOND)
    assert extent(b"") is extent(bytes(9999)) is extent(b"\0\0\1\xba") is None
    assert len(list(stamps(parts[0]))) == 100, "of 50 pictures and 50 pieces of sound"


@pytest.mark.parametrize("by", [0, 1, SECOND * 3600, WRAP - SECOND * 2, -SECOND])
def test_moved_there_and_back(parts: list[bytes], by: int) -> None:
    """Over a wrap of the 33 bits, too."""
    data = bytearray(parts[0])
    move(data, 0, by)
    found = extent(data)
    assert found and (found.first - SECOND - by) % WRAP == 0 and found.end - found.first == 2 * SECOND
    assert (bytes(data) == parts[0]) == (by % WRAP == 0)
    move(data, 0, -by)
    assert bytes(data) == parts[0]


@pytest.mark.parametrize(
    ("begins", "by"),
    [
        (0.0, 7.0),  # anew
        (5.0, 2.0),  # goes on
        (6.0, 2.0),  # and leaves out a second
        (4.9, 2.1),  # overlaps
        (9999.0, 7.0 - 9999.0),  # leaps
        (5.0 + WRAP / SECOND, 2.0),  # went round
    ],
)
def test_how_far_the_next_one_is_moved(begins: float, by: float) -> None:
    """The one before was moved by 2 s, and so ends at 7."""
    first = round(begins * SECOND)
    made = follow(Extent(2 * SECOND, 7 * SECOND), 2 * SECOND, Extent(first, first + SECOND))
    assert made == round(by * SECOND)


def test_no_frame_and_no_beat_is_lost(studio: Studio, parts: list[bytes], tmp_path: Path) -> None:
    """The second without the header, and with a clock that leaps."""
    later = bytearray(parts[1][40:])
    move(later, 0, WRAP - 4 * SECOND)
    files = [tmp_path / "a", tmp_path / "b"]
    for file, data in zip(files, (parts[0], later), strict=True):
        file.write_bytes(data)
    assert [lacks_header(file) for file in files] == [False, True]
    glue(files, tmp_path / "whole", TOOLS, Bounds(), keep=False)
    assert not files[0].exists()
    out, made = studio.cut(tmp_path / "whole", None, None, "copy")
    seen = videos.look(out)
    assert seen.numbers == list(range(100)) and (made.cut, made.duration) == ("copy", 4.0)
    assert seen.worst_sync() < 0.03
