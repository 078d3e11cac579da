"""Whatever bytes come as a source: each job ends in a code of the contract, soon, and no other file or host is read."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests import garbage, videos
from tests.daemon import Daemon, accounted, final, push
from tests.origin import Origin, Page
from tests.test_hostile_tools import status

FRAMES = list(range(25, 50))
# what a video that is no good may end with: never internal, never a hang
BROKEN = {"damaged", "not_video", "too_big", "out_of_range", "encode_failed"}
SECONDS = 40


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One numbered video of 3 s in several containers."""
    folder = tmp_path_factory.mktemp("plain")
    mp4 = videos.encode(videos.make_master(folder / "m.nut", "25", 3), folder / "v.mp4")
    front = videos.rewrap(mp4, folder / "front.mp4", "-movflags", "+faststart")
    made = {"mp4": mp4, "front": front, **{k: videos.rewrap(mp4, folder / f"v.{k}") for k in ("ts", "mkv", "avi")}}
    return {name: path.read_bytes() for name, path in made.items()}


@pytest.fixture
def pit(daemon: Daemon, r) -> Pit:
    daemon.start(allow_paths=daemon.folder / "in", allow_hosts="* 127.0.0.1", max_worker=2)
    return Pit(daemon, r)


class Pit:
    """Throws files at a daemon, then looks at how each ended."""

    def __init__(self, daemon: Daemon, r: Any) -> None:
        self.daemon, self.r = daemon, r
        self.folder = daemon.folder / "in"
        self.folder.mkdir()
        self.expected: dict[str, set[str]] = {}

    def file(self, name: str, content: bytes, *codes: str, ident: str = "") -> Path:
        """A file as a source, and with what it may end."""
        path = self.folder / name
        path.write_bytes(content)
        self.throw(ident or name, str(path), *codes)
        return path

    def throw(self, ident: str, url: str, *codes: str, **more: Any) -> None:
        self.expected[ident] = set(codes)
        address = "file://" + quote(url) if url.startswith("/") else url
        message = {"id": ident, "url": address, "start": 1, "end": 2, "timeout": SECONDS, "max_attempts": 1}
        push(self.r, {**message, **more})

    def check(self, frames: list[int] | None = FRAMES, memory: int = 150_000) -> dict[str, str]:
        """All ended as they may; what is done has these frames, None: as many as it says."""
        rows: list[tuple[bool, str, str]] = []
        for ident, codes in self.expected.items():
            event = final(self.r, ident, 3 * SECONDS)
            rows.append((*self._judge(event, codes, frames), ident))
        table = "\n".join(f"{'ok ' if good else 'BAD'} {ident:30} {seen}" for good, seen, ident in rows)
        print(f"\n{table}")
        assert all(good for good, _, _ in rows), table
        assert "Traceback" not in self.daemon.log
        used = status(self.daemon.pid or 0, "VmHWM")
        print(f"the daemon used {used} KiB at the most")
        assert used < memory
        accounted(self.r, list(self.expected))
        return {ident: seen.split(":")[0] for _, seen, ident in rows}

    @staticmethod
    def _judge(event: dict[str, Any], codes: set[str], frames: list[int] | None) -> tuple[bool, str]:
        if event["event"] == "dead":
            error = event["error"]
            return error["code"] in codes, f"{error['code']}: {error['message'][:90]}"
        output = event["outputs"][0]
        shown = videos.numbers(Path(output["url"].removeprefix("file://")))
        right = len(shown) == output["frames"] if frames is None else shown == frames
        return "done" in codes and right, f"done: {shown[0]}..{shown[-1]} ({len(shown)})"


def test_what_is_no_video(pit: Pit, plain: dict[str, bytes]) -> None:
    with Origin() as origin:
        secret = origin.put("/secret.ts", plain["ts"])
        pit.throw(
            "page",
            origin.put("/page.mp4", Page(b"<html>gone</html>", headers={"Content-Type": "video/mp4"})),
            "not_video",
        )
        pit.file("empty.mp4", b"", "not_video")
        pit.file("random.mp4", bytes(garbage.flipped(os.urandom(1), 1)) + os.urandom(300_000), "not_video")
        pit.file("zip.mp4", garbage.archive(), "not_video")
        pit.file("png.mp4", garbage.png(65535, 65535), "not_video")
        for name, lines in {
            "passwd": "#EXTM3U\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n",
            "call": f"#EXTM3U\n#EXTINF:9,\n{secret}\n#EXT-X-ENDLIST\n",
            "key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{secret}"\n#EXTINF:9,\nv.ts\n#EXT-X-ENDLIST\n',
            "concat": f"ffconcat version 1.0\nfile '{secret}'\n",
            "dash": f'<?xml version="1.0"?><MPD><Period><BaseURL>{secret}</BaseURL></Period></MPD>',
            "sdp": "v=0\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
            "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{secret}"/></svg>',
        }.items():
            pit.file(f"{name}.mp4", lines.encode(), "not_video")
        huge = pit.folder / "huge"
        garbage.huge_h264(plain["mp4"], huge.with_suffix(".ts"))
        garbage.huge_mjpeg(pit.folder / "huge.avi", 65_500)
        garbage.outgrown(plain["ts"], pit.folder / "outgrown.ts")
        # the first parameter set alone is huge: what lies behind the next may be cut
        pit.throw("huge.ts", f"{huge}.ts", "too_big", "damaged", "done")
        pit.throw("huge.avi", f"{huge}.avi", "too_big", "damaged")
        pit.throw("outgrown.ts", str(pit.folder / "outgrown.ts"), "too_big", end=4)
        pit.throw("before.ts", str(pit.folder / "outgrown.ts"), "done")
        # the pictures are of 320x180 all the same: to refuse it is right, to cut it too
        pit.file("huge.mp4", garbage.huge_entry(plain["mp4"]), "too_big", "done")
        pit.check()
        assert not origin.seen("/secret.ts")


def test_what_is_no_file(pit: Pit, plain: dict[str, bytes]) -> None:
    outside = pit.daemon.folder / "outside.mp4"
    outside.write_bytes(plain["mp4"])
    pit.file("good.mp4", plain["mp4"], "done")
    for name, target in {
        "inside": pit.folder / "good.mp4",
        "outside": outside,
        "zero": "/dev/zero",
        "self": pit.folder / "self",
    }.items():
        (pit.folder / name).symlink_to(target)
    os.mkfifo(pit.folder / "pipe")
    pit.throw("inside", str(pit.folder / "inside"), "done")
    for name in ("outside", "zero", "pipe", "."):
        pit.throw(f"x{name}", str(pit.folder / name), "forbidden_source")
    pit.throw("self", str(pit.folder / "self"), "forbidden_source", "not_found", "denied")
    pit.throw("dots", f"{pit.folder}/../outside.mp4", "forbidden_source")
    for n, name in enumerate(
        (
            "a\nb.mp4",
            "%41%2e.mp4",
            "ünï ☃ 🎬.mp4",
            'it\'s "q".mp4',
            "-vf null.mp4",
            "x" * 250 + ".mp4",
            "\\n\t.mp4",
            "a,b;[c].mp4",
        )
    ):
        pit.file(name, plain["mp4"], "done", ident=f"name-{n}")
    for name, head in {"tera.mp4": plain["front"], "tera.ts": plain["ts"]}.items():
        garbage.sparse(pit.folder / name, head, 1 << 40)
        pit.throw(name, str(pit.folder / name), "too_big")
    garbage.sparse(pit.folder / "hollow.mp4", plain["front"], 90 << 30)
    pit.throw("hollow.mp4", str(pit.folder / "hollow.mp4"), "done", *BROKEN)
    # the part asked for was there before the job began
    head = len(plain["ts"]) * 9 // 10
    growing = pit.file("growing.ts", plain["ts"][:head], "done")
    done = threading.Event()
    grower = threading.Thread(target=_grow, args=(growing, plain["ts"][head:], done))
    grower.start()
    try:
        pit.check()
    finally:
        done.set()
        grower.join()


def _grow(path: Path, data: bytes, done: threading.Event) -> None:
    with path.open("ab") as file:
        for at in range(0, len(data), 47):
            file.write(data[at : at + 47])
            file.flush()
            if done.wait(0.01):
                return


@pytest.mark.parametrize("step", [pytest.param(8, id="some"), pytest.param(1, id="each", marks=pytest.mark.long)])
def test_mp4_cut_off_at_its_boxes(pit: Pit, plain: dict[str, bytes], step: int) -> None:
    for name in ("mp4", "front"):
        for at in list(garbage.borders(plain[name]))[1::step]:
            pit.file(f"{name}-{at}", plain[name][:at], "damaged", "not_video")
    for kind in (b"ftyp", b"moov", b"mdat", b"trak", b"stbl", b"stts")[:: min(step, 2)]:
        pit.file(f"endless-{kind.decode()}", garbage.endless_box(plain["front"], kind), "done", *BROKEN)
    pit.check()


@pytest.mark.parametrize("count", [pytest.param(2, id="few"), pytest.param(67, id="many", marks=pytest.mark.long)])
def test_bytes_changed_at_random(pit: Pit, plain: dict[str, bytes], count: int) -> None:
    """Tables that were changed make another film: so what is done is only held to what it says of itself."""
    for name in ("mp4", "ts", "mkv"):
        for seed in range(count):
            pit.file(f"{name}-{seed}", garbage.flipped(plain[name], seed), "done", *BROKEN)
    seen = pit.check(frames=None)
    assert {"done", "damaged"} <= set(seen.values())


@pytest.mark.long
def test_too_much_of_everything(pit: Pit, plain: dict[str, bytes]) -> None:
    source = pit.file("good.mp4", plain["mp4"], "done")
    garbage.crowded(pit.daemon.folder, source, pit.folder / "crowd.mkv")
    pit.throw("crowd.mkv", str(pit.folder / "crowd.mkv"), "done", timeout=120)
    garbage.bomb(pit.folder / "bomb.mp4", 60)
    pit.throw("bomb.mp4", str(pit.folder / "bomb.mp4"), "timeout", start=None, end=None, cut="exact", timeout=5)
    heads = {
        "mkv": plain["mkv"][:4000],
        "ts": plain["ts"],
        "avi": plain["avi"],
        "ogg": b"OggS",
        "ps": b"\0\0\1\xba",
        "flv": b"FLV\1\5\0\0\0\x09",
        "asf": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    }
    for name, head in heads.items():
        garbage.sparse(pit.folder / f"hollow.{name}", head, 90 << 30)
        pit.throw(
            f"hollow.{name}", str(pit.folder / f"hollow.{name}"), "timeout", "stalled", "done", *BROKEN, timeout=10
        )
    pit.check()


@pytest.mark.long
def test_a_million_frames(pit: Pit) -> None:
    garbage.many_frames(pit.folder / "many.avi", 1000)
    for how in ("exact", "keyframe"):
        pit.throw(how, str(pit.folder / "many.avi"), "done", start=500, end=501, cut=how, timeout=300)
    # all pictures are alike: each number is 0
    pit.check(frames=[0] * 1000, memory=1_000_000)
