"""Clips of HLS videos: the segments around each, the frames of the whole, and nothing from where we may not go."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import videos
from tests.daemon import Daemon, accounted, final, push
from tests.hlsfilms import FMP4, LATE, PICTURE, apart, joined, listed, serve
from tests.obtaining import Attempt, plain, wishes
from tests.origin import Origin, Page
from videod import obtain
from videod.errors import (
    Cancelled,
    Denied,
    Encrypted,
    Failure,
    FetchFailed,
    ForbiddenSource,
    NotFound,
    NotVideo,
    OutOfRange,
    Stalled,
    TooBig,
)
from videod.media.examine import examine
from videod.process import Tools
from videod.transfer.playlist import BadPlaylist, read
from videod.transfer.urls import check_url

SECONDS = 24.0


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with playlists by name."""
    folder = tmp_path_factory.mktemp("hls")
    master = videos.make_master(folder / "master.nut", "25", SECONDS)
    even = videos.encode(master, folder / "even.mp4", picture=PICTURE)
    master = videos.make_master(folder / "ntsc.nut", "30000/1001", SECONDS)
    opened = (*PICTURE, "-x264-params", "open-gop=1:bframes=3:keyint=50")
    ntsc = videos.encode(master, folder / "ntsc.mp4", picture=PICTURE)
    open_gop = videos.encode(master, folder / "open.ts", picture=opened)
    # a muxer of MP4 in segments that makes two frames of one time out of an open GOP
    twice = videos.encode(master, folder / "twice.mp4", picture=opened)
    return {
        "ts": listed(even, folder / "ts"),
        "fmp4": listed(even, folder / "fmp4", *FMP4),
        "ntsc": listed(open_gop, folder / "ntsc"),
        "ntsc-fmp4": listed(ntsc, folder / "ntsc-fmp4", *FMP4),
        "ranges": listed(even, folder / "ranges", "-hls_flags", "single_file"),
        "wrap": listed(even, folder / "wrap", *LATE),
        "apart": apart(even, folder / "apart"),
        "apart-ntsc": apart(ntsc, folder / "apart-ntsc", *FMP4),
        "apart-twice": apart(twice, folder / "apart-twice", *FMP4),
        "apart-wrap": apart(even, folder / "apart-wrap", *LATE),
    }


@pytest.fixture
def attempt(tools: Tools, tmp_path: Path) -> Attempt:
    return Attempt(tools, tmp_path)


@pytest.fixture
def guarded(tools: Tools, tmp_path: Path) -> Attempt:
    return Attempt(tools, tmp_path, allow_hosts="* 127.0.0.1", deny_hosts="denied.example")


def of(url: str, attempt: Attempt, start: float | None = 8.0, end: float | None = 9.0) -> obtain.Ready:
    found = obtain.parts(url, [obtain.Wish(start, end, "exact", "mp4")], attempt.ctx)
    assert found
    return found[0]


# ------------------------------------------------------------- the frames
@pytest.mark.parametrize(
    "kind",
    [
        *("fmp4", "apart"),
        *(
            pytest.param(kind, marks=pytest.mark.long)
            for kind in ("ts", "ranges", "wrap", "ntsc", "ntsc-fmp4", "apart-ntsc", "apart-wrap")
        ),
    ],
)
def test_a_part_selects_the_frames_of_the_whole(
    attempt: Attempt, origin: Origin, films, tmp_path: Path, kind: str
) -> None:
    url, folder = serve(origin, films[kind]), films[kind]
    path = joined(folder, tmp_path / f"whole.{'mp4' if (folder / 'init_0.mp4').exists() else 'ts'}")
    whole = examine(str(path), attempt.tools, attempt.settings)
    size = sum(file.stat().st_size for file in folder.iterdir())
    for wish in wishes(SECONDS, 2, kind):
        before = attempt.fetched_bytes
        found = obtain.parts(url, [wish], attempt.ctx)
        assert found and found[0].plan.count == len(found[0].plan.pts)
        assert plain(found[0].source, wish)[1:] == plain(whole, wish)[1:], (wish, attempt.said)
        assert attempt.fetched_bytes - before < size * 0.6, (wish, attempt.said)
        assert len(found[0].source.media.audio) == 1


def test_what_is_fetched(attempt: Attempt, origin: Origin, films) -> None:
    url, folder = serve(origin, films["ts"]), films["ts"]
    of(url, attempt, 12.1, 13.2)
    names = [seen.path.rpartition("/")[2] for seen in origin.seen()]
    # the list, the first, one before and one behind
    assert sorted(names) == sorted(["index.m3u8", "index0.ts", "index5.ts", "index6.ts", "index7.ts"])
    assert attempt.fetched_bytes == sum((folder / name).stat().st_size for name in names)
    assert [path.name for path in attempt.scratch.iterdir()] == ["part-1"]


def test_two_parts_share_their_segments(attempt: Attempt, origin: Origin, films) -> None:
    url = serve(origin, films["fmp4"])
    asked = [obtain.Wish(8.0, 9.0, "exact", "mp4"), obtain.Wish(8.6, 10.0, "exact", "mp4")]
    found = obtain.parts(url, asked, attempt.ctx)
    assert found and [ready.plan.start for ready in found] == [8, Fraction(43, 5)]
    names = [seen.path for seen in origin.seen()]
    assert len(set(names)) == len(names)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["ntsc", pytest.param("apart-ntsc", marks=pytest.mark.long)])
def test_clips_show_the_frames_asked_for(daemon: Daemon, r, origin: Origin, films, tmp_path: Path, kind: str) -> None:
    daemon.start(allow_hosts="* 127.0.0.1")
    url = serve(origin, films[kind])
    clips = [
        {"start": 7.31, "end": 9.5},
        {"start": 11.2, "end": 12.9, "cut": "encode"},
        {"start": 15.5, "end": 17.0, "cut": "keyframe"},
    ]
    push(r, {"id": "a", "url": url, "clips": clips})
    done = final(r, "a", 120)
    assert done["event"] == "done", daemon.log
    for output, clip in zip(done["outputs"], clips, strict=True):
        made = videos.look(Path(output["url"].removeprefix("file://")))
        first, last = -(-clip["start"] * 30000 // 1001), -(-clip["end"] * 30000 // 1001)
        if clip.get("cut") != "keyframe":
            assert made.numbers == list(range(int(first), int(last)))
        assert output["start"] == pytest.approx(made.numbers[0] * 1001 / 30000, abs=2e-5)
        assert made.worst_sync() <= 0.06
    accounted(r, ["a"])


def test_a_whole_video(daemon: Daemon, r, origin: Origin, films) -> None:
    """A copy of all of it; by its content, where the name does not tell."""
    daemon.start(allow_hosts="* 127.0.0.1")
    serve(origin, films["apart"])
    url = origin.put("/hls/list", (films["apart"] / "index.m3u8").read_bytes())
    push(r, {"id": "a", "url": url + "?x=1"})
    done = final(r, "a", 120)
    assert done["event"] == "done", daemon.log
    (output,) = done["outputs"]
    assert (output["cut"], output["frames"]) == ("copy", SECONDS * 25)
    assert videos.look(Path(output["url"].removeprefix("file://"))).worst_sync() <= 0.025


# ------------------------------------------------------------- playlists that lie, or are not what we serve
def edited(origin: Origin, folder: Path, edit) -> str:
    url = serve(origin, folder)
    origin.put("/hls/index.m3u8", edit((folder / "index.m3u8").read_text()).encode())
    return url


def test_durations_that_lie_cost_more_segments(attempt: Attempt, origin: Origin, films) -> None:
    url = edited(origin, films["ts"], lambda text: text.replace("#EXTINF:2.000000", "#EXTINF:2.4"))
    ready = of(url, attempt, 14.0, 15.0)
    assert (ready.plan.start, ready.plan.count) == (14, 25)
    assert not any("all segments" in text for text in attempt.said)


def test_durations_that_lie_much_cost_all(attempt: Attempt, origin: Origin, films) -> None:
    url = edited(origin, films["ts"], lambda text: text.replace("#EXTINF:2.000000", "#EXTINF:200"))
    ready = of(url, attempt, 14.0, 15.0)
    assert (ready.plan.start, ready.plan.count) == (14, 25)


def test_a_discontinuity_costs_all(attempt: Attempt, origin: Origin, films) -> None:
    url = edited(origin, films["ts"], lambda text: text.replace("#EXTINF", "#EXT-X-DISCONTINUITY\n#EXTINF", 5))
    ready = of(url, attempt, 14.0, 15.0)
    assert (ready.plan.start, ready.plan.count) == (14, 25)
    assert any("#EXT-X-DISCONTINUITY" in text for text in attempt.said)


def test_a_gap_is_a_hole(attempt: Attempt, origin: Origin, films) -> None:
    url = edited(origin, films["ts"], lambda text: text.replace("index6.ts", "#EXT-X-GAP\nindex6.ts"))
    ready = of(url, attempt, 11.0, 15.0)
    assert (ready.plan.start, ready.plan.count) == (11, 50)
    assert "no picture for a while" in ready.plan.warnings[0]
    assert not origin.seen("/hls/index6.ts")


def test_a_picture_to_straighten_with_its_sound_apart(attempt: Attempt, origin: Origin, films) -> None:
    ready = of(serve(origin, films["apart-twice"]), attempt, 8.0, 9.0)
    assert ready.plan.count in (29, 30, 31)
    assert len(ready.source.media.audio) == 1


def test_behind_the_end(attempt: Attempt, origin: Origin, films) -> None:
    with pytest.raises(OutOfRange, match=r"ends at 24\.000 s"):
        of(serve(origin, films["ts"]), attempt, 30.0, 31.0)
    assert len(origin.seen()) < 6


LIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n{}#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n"
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1{}\n{}\n"


@pytest.mark.parametrize(
    ("text", "expected", "says"),
    [
        (LIST.format("").replace("#EXT-X-ENDLIST\n", ""), NotVideo, "live videos are not cut"),
        (LIST.format("#EXT-X-I-FRAMES-ONLY\n"), NotVideo, "key frames alone"),
        (LIST.format('#EXT-X-KEY:METHOD=AES-128,URI="k"\n'), Encrypted, "encrypted"),
        (LIST.format('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"\n'), Encrypted, "encrypted"),
        (LIST.format('#EXT-X-DEFINE:NAME="a",VALUE="b"\n'), NotVideo, "variables"),
        (LIST.format("#EXT-X-BYTERANGE:100\n"), NotVideo, "where it begins"),
        (LIST.format("").replace("2,", "nan,"), NotVideo, "longer than can be"),
        (LIST.format("#EXTINF:1,\na.ts\n" * 50_001), NotVideo, "more than 50000 segments"),
        ("#EXTM3U\n#EXT-X-ENDLIST\n", NotVideo, "no segment"),
        (LIST.format("").replace("2,", "2,A title\twith a tab and \xa0"), NotFound, "404"),
        ("<html>", NotVideo, "does not begin as a playlist"),
        (MASTER.format("", "index.m3u8"), NotVideo, "playlist of playlists"),
        (MASTER.format(',CODECS="mp4a.40.2"', "x.m3u8"), NotVideo, "no picture"),
        (MASTER.format(",RESOLUTION=90000x90000", "x.m3u8"), TooBig, "max_pixels"),
        (LIST.format("").replace("a.ts", "file:///etc/passwd"), ForbiddenSource, "only http and https"),
        (LIST.format("").replace("a.ts", "/etc/passwd"), NotFound, "404"),
        (LIST.format("").replace("a.ts", "http://127.0.0.2:1/a.ts"), ForbiddenSource, "may not be reached"),
        (MASTER.format("", "http://denied.example/x.m3u8"), ForbiddenSource, "may not be reached"),
        (LIST.format('#EXT-X-MAP:URI="http://[::1]/i.mp4"\n'), ForbiddenSource, "may not be reached"),
    ],
)
def test_what_is_not_served(guarded: Attempt, origin: Origin, text: str, expected: type[Failure], says: str) -> None:
    attempt = guarded
    url = origin.put("/index.m3u8", text.encode())
    if "MAP" in text:  # both are asked for at the same time
        origin.put("/a.ts", Page(rate=100, body=b"G" * 1000))
    with pytest.raises(expected, match=says) as caught:
        of(url + "?secret=1", attempt)
    assert "secret" not in str(caught.value)
    with pytest.raises(expected, match=says):
        obtain.whole(url, attempt.ctx)


def test_nothing_comes_from_a_host_that_is_closed(guarded: Attempt, origin: Origin, films) -> None:
    with Origin("127.0.0.2") as closed:
        serve(closed, films["ts"])
        there = f"{closed.url}/hls/index7.ts"
        for target in (there, "moved.ts"):
            url = edited(origin, films["ts"], lambda text, to=target: text.replace("index7.ts", to))
            origin.redirect("/hls/moved.ts", there)
            with pytest.raises(ForbiddenSource, match="may not be reached"):
                of(url, guarded, 12.1, 13.2)
        assert not closed.seen()


# ------------------------------------------------------------- servers on a bad day
def test_what_breaks_off_is_asked_for_anew(attempt: Attempt, origin: Origin, films) -> None:
    url, body = serve(origin, films["ts"]), (films["ts"] / "index6.ts").read_bytes()
    origin.put("/hls/index6.ts", Page(body, cut_after=1000), Page(b"", status=503), Page(body, silent=True), Page(body))
    assert of(url, attempt, 12.1, 13.2).plan.count == 27
    assert len(origin.seen("/hls/index6.ts")) == 4


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (Page(status=404), NotFound),
        (Page(status=403), Denied),
        pytest.param(Page(status=503), FetchFailed, marks=pytest.mark.long),
        (Page(b"x" * 100, headers={"Content-Encoding": "gzip"}), FetchFailed),
    ],
)
def test_a_segment_that_cannot_be_had(
    attempt: Attempt, origin: Origin, films, page: Page, expected: type[Failure]
) -> None:
    url = serve(origin, films["ts"])
    origin.put("/hls/index6.ts", page)
    with pytest.raises(expected, match=r"/hls/index6\.ts|compressed"):
        of(url, attempt, 12.1, 13.2)


def test_a_stall(attempt: Attempt, origin: Origin, films) -> None:
    url, body = serve(origin, films["ts"]), (films["ts"] / "index6.ts").read_bytes()
    origin.put("/hls/index6.ts", Page(body, stall_after=1000))
    attempt.tools.stall_timeout = 1.0
    with pytest.raises(Stalled, match="sent nothing for 1 s"):
        of(url, attempt, 12.1, 13.2)


def test_cancel_ends_a_fetch(attempt: Attempt, origin: Origin, films) -> None:
    url, body = serve(origin, films["ts"]), (films["ts"] / "index6.ts").read_bytes()
    origin.put("/hls/index6.ts", Page(body, stall_after=1000))
    threading.Timer(1.0, attempt.tools.cancel.set).start()
    with pytest.raises(Cancelled):
        of(url, attempt, 12.1, 13.2)


def test_no_more_connections_than_may_be(tools: Tools, tmp_path: Path, origin: Origin, films) -> None:
    for at_once in (0, 1):  # the server allows one alone: the others are asked for again
        origin.at_once = at_once
        (tools.scratch / "source").unlink(missing_ok=True)
        attempt = Attempt(tools, tmp_path, fetch_connections="3")
        assert len(obtain.whole(serve(origin, films["ts"]), attempt.ctx).frames.pts) == SECONDS * 25
        assert origin.busiest <= 3
        assert [path.name for path in attempt.scratch.iterdir()] == ["source"]


def test_ranges_that_a_server_ignores(attempt: Attempt, origin: Origin, films) -> None:
    url = serve(origin, films["ranges"])
    origin.put("/hls/index.ts", Page((films["ranges"] / "index.ts").read_bytes(), ranges=False))
    with pytest.raises(FetchFailed, match="ignores"):
        of(url, attempt, 12.1, 13.2)


def test_more_than_may_be(tools: Tools, tmp_path: Path, origin: Origin, films) -> None:
    attempt = Attempt(tools, tmp_path, max_source_bytes="20000")
    with pytest.raises(TooBig, match="max_source_bytes"):
        of(serve(origin, films["ts"]), attempt, 12.1, 13.2)


def test_a_segment_listed_often_fills_no_disk(tools: Tools, tmp_path: Path, origin: Origin, films) -> None:
    attempt = Attempt(tools, tmp_path, max_source_bytes="1M")
    serve(origin, films["ts"])
    url = origin.put(
        "/hls/often.m3u8", LIST.format("#EXTINF:2,\nindex0.ts\n" * 1000).replace("a.ts", "index1.ts").encode()
    )
    with pytest.raises(TooBig, match="max_source_bytes"):
        of(url, attempt, None, 2000.0)


def test_secrets_go_to_their_host_alone(tools: Tools, tmp_path: Path, origin: Origin, films) -> None:
    with Origin("127.0.0.2") as other:
        serve(other, films["ts"])
        attempt = Attempt(tools, tmp_path)
        url = edited(origin, films["ts"], lambda text: text.replace("index7.ts", f"{other.url}/hls/index7.ts"))
        of(url.replace("http://", "http://me:s3cret@"), attempt, 12.1, 13.2)
        assert all("authorization" in seen.headers for seen in origin.seen())
        assert [seen for seen in other.seen() if "authorization" not in seen.headers] == other.seen() != []


# ------------------------------------------------------------- what nobody thinks of
LINES = (
    """
#EXTM3U
#EXT-X-ENDLIST
#EXTINF:2,
#EXTINF:1e9,
#EXTINF:-1,
#EXTINF:inf
#EXTINF
a.ts
http://[
//
#EXT-X-BYTERANGE:1@2
#EXT-X-BYTERANGE:5
#EXT-X-BYTERANGE:x
#EXT-X-MAP:URI="i.mp4"
#EXT-X-MAP
#EXT-X-MAP:URI=
#EXT-X-MAP:BYTERANGE="1@1"
#EXT-X-KEY:METHOD=NONE
#EXT-X-KEY:METHOD=X
#EXT-X-DISCONTINUITY
#EXT-X-GAP
#EXT-X-STREAM-INF:BANDWIDTH=1
#EXT-X-STREAM-INF:BANDWIDTH=x
#EXT-X-STREAM-INF
#EXT-X-STREAM-INF:CODECS="avc1,"
#EXT-X-STREAM-INF:RESOLUTION=1x
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",URI="s"
#EXT-X-MEDIA
#EXT-X-STREAM-INF:AUDIO=a
#EXT-X-I-FRAMES-ONLY
#EXT-X-SKIP:1
file:///etc/passwd
http://user:pw@x/y?q#z
""".split("\n")[1:-1]
    + ["\0", "\u2028", "https://x/" + "y" * 9000]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(LINES) | st.text(max_size=30), max_size=20), st.integers(0, 300))
def test_any_playlist_is_read_or_refused(lines: list[str], cut: int) -> None:
    text = "\n".join(["#EXTM3U", *lines])
    base = check_url("https://example.org/a/b.m3u8?secret")
    for data in (text.encode("utf-8", "replace"), text.encode("utf-8", "replace")[:-cut]):
        try:
            found = read(data, base)
        except (BadPlaylist, Encrypted, ForbiddenSource):
            continue
        assert bool(found.segments) != bool(found.variants)
        begins = [segment.begin for segment in found.segments]
        assert begins == sorted(begins)
