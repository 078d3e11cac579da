"""Clips of remote Matroska files: the clusters around each, as the Cues tell, and the frames of the whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import videos
from tests.daemon import Daemon, accounted, final, push
from tests.obtaining import Attempt, plain, wishes
from tests.origin import Origin, Page
from videod import obtain
from videod.errors import OutOfRange
from videod.media.ebml import BadMatroska
from videod.media.examine import examine
from videod.media.matroska import MARK, MOST_READS, load
from videod.process import Tools
from videod.transfer.ranges import SMALL

SECONDS = 24.0
DETAIL = ("-vf", "scale=640:360:flags=neighbor,noise=alls=16:allf=t")
PICTURE = (*videos.X264, "-preset", "ultrafast", "-crf", "29", "-g", "50")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("mkv")
    master = videos.make_master(folder / "master.nut", "30000/1001", SECONDS)
    opened = (*PICTURE, "-x264-params", "open-gop=1:bframes=3:keyint=50")
    end = videos.encode(master, folder / "end.mkv", *DETAIL, picture=PICTURE)
    return {
        "end": end,
        "front": videos.rewrap(end, folder / "front.mkv", "-reserve_index_space", "20000"),
        "opengop": videos.encode(master, folder / "opengop.mkv", *DETAIL, picture=opened),
        "late": videos.rewrap(end, folder / "late.mkv", "-ss", "3.3"),
        "small": videos.encode(master, folder / "small.mkv", picture=("-c:v", "mpeg4", "-q:v", "20"), sound=("-an",)),
        "live": videos.rewrap(end, folder / "live.mkv", "-live", "1"),
    }


@pytest.fixture
def attempt(tools: Tools, tmp_path: Path) -> Attempt:
    return Attempt(tools, tmp_path)


@pytest.mark.parametrize(
    "kind", ["end", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("front", "late")), "opengop"]
)
def test_a_part_selects_the_frames_of_the_whole(attempt: Attempt, origin: Origin, films, kind: str) -> None:
    size = films[kind].stat().st_size
    assert size > 2 * SMALL
    url = origin.put("/a.mkv", Page(films[kind].read_bytes()))
    whole = examine(str(films[kind]), attempt.tools, attempt.settings)
    seconds = float(whole.frames.seconds(whole.frames.pts[-1]))
    for wish in wishes(seconds, 3, kind):
        before = attempt.fetched_bytes
        found = obtain.parts(url, [wish], attempt.ctx)
        assert found, attempt.said
        assert plain(found[0].source, wish)[1:] == plain(whole, wish)[1:], (wish, attempt.said)
        assert attempt.fetched_bytes - before < size * 0.6, (wish, attempt.said)


def test_what_is_fetched(attempt: Attempt, origin: Origin, films) -> None:
    data = films["front"].read_bytes()
    index = load(lambda at, length: data[at : at + length], len(data))
    url = origin.put("/a.mkv", Page(data))
    found = obtain.parts(url, [obtain.Wish(11.0, 12.0, "exact", "mp4")], attempt.ctx)
    assert found and found[0].plan.count == 30
    low = max(n for n, time in enumerate(index.times) if time <= 11_000 + index.zero) - 1
    high = min(n for n, time in enumerate(index.times) if time > 13_000 + index.zero) + 1
    assert attempt.fetched_bytes == (64 << 10) + index.offsets[high] - index.offsets[low]
    assert [path.name for path in attempt.scratch.iterdir()] == ["part-1.mkv"]


def test_parts_share_what_is_fetched(attempt: Attempt, origin: Origin, films) -> None:
    url = origin.put("/a.mkv", Page(films["end"].read_bytes()))
    asked = [obtain.Wish(9.0, 12.0, "exact", "mp4"), obtain.Wish(9.5, 10.0, "exact", "mp4")]
    assert obtain.parts(url, asked[:1], attempt.ctx)
    one = attempt.fetched_bytes
    assert obtain.parts(url, asked, attempt.ctx)
    assert attempt.fetched_bytes == 2 * one


def test_behind_the_end(attempt: Attempt, origin: Origin, films) -> None:
    url = origin.put("/a.mkv", Page(films["end"].read_bytes()))
    with pytest.raises(OutOfRange, match=r"ends at 23\.9\d\d s"):
        obtain.parts(url, [obtain.Wish(50.0, 51.0, "exact", "mp4")], attempt.ctx)
    assert attempt.fetched_bytes < films["end"].stat().st_size / 2


def test_cues_that_lie_cost_more(attempt: Attempt, origin: Origin, films) -> None:
    """They say that all is one and a half seconds earlier than it is: the clock of what came tells otherwise."""
    data = bytearray(films["front"].read_bytes())
    cues = data.index(b"\x1c\x53\xbb\x6b")
    times = load(lambda at, length: bytes(data[at : at + length]), len(data)).times
    for time in times[2:]:
        old = b"\xb3\x82" + time.to_bytes(2, "big")
        at = data.index(old, cues)
        data[at : at + 4] = b"\xb3\x82" + (time - 1500).to_bytes(2, "big")
    url = origin.put("/a.mkv", Page(bytes(data)))
    found = obtain.parts(url, [obtain.Wish(11.0, 12.0, "exact", "mp4")], attempt.ctx)
    assert found, attempt.said
    assert (found[0].plan.count, round(found[0].plan.start * 1000)) == (30, 11_011)


@pytest.mark.parametrize("kind", ["live", "ranges", "moved"])
def test_what_has_no_use_of_parts_is_fetched_whole(attempt: Attempt, origin: Origin, films, kind: str) -> None:
    page = Page(films["live" if kind == "live" else "front"].read_bytes(), ranges=kind != "ranges")
    if kind == "moved":  # Cues that point behind where the clusters begin
        body = bytearray(page.body)
        at = body.index(b"\x1c\x53\xbb\x6b") + 60
        while 0 < (at := body.find(b"\xf1\x83", at, 20_000)):
            body[at + 4] ^= 1
            at += 1
        page = Page(bytes(body))
    assert obtain.parts(origin.put("/a.mkv", page), [obtain.Wish(9.0, 10.0, "exact", "mp4")], attempt.ctx) is None
    assert "fetched whole" in attempt.said[-1]


@pytest.mark.long
def test_clips_show_the_frames_asked_for(daemon: Daemon, r, origin: Origin, films) -> None:
    daemon.start(allow_hosts="* 127.0.0.1")
    url = origin.put("/a.mkv", Page(films["opengop"].read_bytes()))
    clips = [
        {"start": 7.31, "end": 9.5},
        {"start": 9.2, "end": 10.9, "cut": "encode"},
        {"start": 8.5, "end": 10.0, "cut": "keyframe"},
    ]
    push(r, {"id": "a", "url": url, "clips": clips})
    done = final(r, "a", 120)
    assert done["event"] == "done", daemon.log
    assert done["fetched_bytes"] < films["opengop"].stat().st_size * 0.7
    for output, clip in zip(done["outputs"], clips, strict=True):
        made = videos.look(Path(output["url"].removeprefix("file://")))
        # to the millisecond, as the file has it
        times = [round(n * 1001 / 30) / 1000 for n in range(720)]
        if clip.get("cut") != "keyframe":
            assert made.numbers == [n for n, time in enumerate(times) if clip["start"] <= time < clip["end"]]
        assert output["start"] == pytest.approx(times[made.numbers[0]], abs=0.0011)
        assert made.worst_sync() <= 0.06
    accounted(r, ["a"])


# ------------------------------------------------------------- what nobody thinks of
@dataclass
class Reader:
    """A file that is read in parts; counts how often."""

    data: bytes
    asked: list[int] = field(default_factory=list)

    def __call__(self, at: int, length: int) -> bytes:
        assert 0 <= at <= at + length <= len(self.data)
        assert length <= 17 << 20
        self.asked.append(length)
        return self.data[at : at + length]


PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)


def tried(data: bytes) -> None:
    reader = Reader(data)
    try:
        index = load(reader, len(data))
    except BadMatroska as error:
        assert str(error).isascii() and len(str(error)) < 200
    else:
        assert len(index.times) == len(index.offsets) and index.end <= len(data)
        assert index.offsets == sorted(set(index.offsets)) and index.offsets[-1] < index.end
    assert len(reader.asked) <= MOST_READS


@PATIENT
@given(st.data())
def test_a_mangled_file_is_read_or_refused(films, data: st.DataObject) -> None:
    whole = films["small"].read_bytes()
    head, tail = bytearray(whole[:2500]), bytearray(whole[-1000:])
    for _ in range(data.draw(st.integers(1, 6))):
        part = data.draw(st.sampled_from([head, tail]))
        at = data.draw(st.integers(0, len(part) - 1))
        part[at] = data.draw(st.integers(0, 255))
    made = bytes(head) + whole[2500:-1000] + bytes(tail)
    tried(made[: data.draw(st.sampled_from([len(made), 100, 1000, 30_000]))])


@PATIENT
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    tried(data)
    tried(MARK + data)
