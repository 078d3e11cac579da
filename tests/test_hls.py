"""Clips of HLS videos: the segments around each, the frames of the whole, and nothing from where we may not go."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from tests import videos
from tests.daemon import Daemon, accounted, final, push
from tests.hlsfilms import DETAIL, PICTURE, joined, listed, serve
from tests.origin import Origin

SECONDS = 40.0


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Playlists by name."""
    folder = tmp_path_factory.mktemp("hls")
    master = videos.make_master(folder / "master.nut", "25", SECONDS)
    plain = videos.encode(master, folder / "plain.mp4", *DETAIL, picture=PICTURE)
    ntsc = videos.encode(
        videos.make_master(folder / "ntsc.nut", "30000/1001", SECONDS), folder / "ntsc.mp4", *DETAIL, picture=PICTURE
    )
    fmp4 = ("-hls_segment_type", "fmp4")
    return {
        "ts": listed(plain, folder / "ts"),
        "fmp4": listed(plain, folder / "fmp4", *fmp4),
        "ntsc": listed(ntsc, folder / "ntsc"),
        "ntsc-fmp4": listed(ntsc, folder / "ntsc-fmp4", *fmp4),
        "ranges": listed(plain, folder / "ranges", "-hls_flags", "single_file"),
        "wrap": listed(plain, folder / "wrap", "-copyts", "-muxdelay", "0", "-output_ts_offset", "95430"),
    }


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as made:
        yield made


@pytest.fixture
def serving(daemon: Daemon) -> Daemon:
    daemon.start(allow_hosts="* 127.0.0.1")
    return daemon


def check_frames(serving: Daemon, r, url: str, whole: Path, name: str, number: int = 4, most: float = 0.6) -> None:
    """Clips of the playlist hold the frames that clips of all segments in one file would."""
    seen = videos.look(whole)
    times = [Fraction(round(time * 10**6), 10**6) for time, _, _ in seen.pictures]
    dice, length = random.Random(name), float(times[-1])
    spans: list[tuple[float, float | None]] = [(0.0, 1.3), (round(length - 1.013, 3), None)]
    for _ in range(number):
        start = round(dice.uniform(0, length - 3), 3)
        spans.append((start, round(start + dice.uniform(0.5, 3), 3)))
    for n, (start, end) in enumerate(spans):
        cut = "keyframe" if n == 5 else "exact"
        ident = f"{name}{n}"
        push(r, {"id": ident, "url": url, "start": start, "cut": cut, **({"end": end} if end else {})})
        done = final(r, ident, 120)
        assert done["event"] == "done", (done, serving.log)
        (output,) = done["outputs"]
        assert done["fetched_bytes"] < most * whole.stat().st_size, (ident, done, serving.log)
        made = videos.look(Path(output["url"].removeprefix("file://")))
        low, high = Fraction(str(start)), Fraction(str(end)) if end else times[-1] + 1
        wanted = [i for i, time in enumerate(times) if low <= time < high]
        if cut == "exact":
            assert made.numbers == [seen.numbers[i] for i in wanted], (start, end)
            assert output["start"] == pytest.approx(float(times[wanted[0]]), abs=2e-6)
            assert output["frames"] == len(wanted)
        else:
            first = made.numbers[0]
            assert first <= seen.numbers[wanted[0]]
            assert output["start"] == pytest.approx(float(times[seen.numbers.index(first)]), abs=2e-6)
        if len(made.numbers) > 30:
            assert made.worst_sync() <= 0.025 + (0.034 if "ntsc" in name else 0)
    accounted(r, [f"{name}{n}" for n in range(len(spans))])


@pytest.mark.parametrize("kind", ["ts", "fmp4", "ntsc", "ntsc-fmp4", "ranges", "wrap"])
def test_clips_hold_the_frames_asked_for(serving: Daemon, r, origin: Origin, films, tmp_path: Path, kind: str) -> None:
    url = serve(origin, films[kind].parent)
    if kind == "ranges":
        whole = films[kind].parent / "index.ts"
    else:
        whole = joined(films[kind], tmp_path / f"whole.{'mp4' if 'fmp4' in kind else 'ts'}")
    check_frames(serving, r, url, whole, kind)
