"""MP4 and MOV files of each shape, and what ffprobe says of them, packet by packet."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from tests.videos import ffmpeg, run
from videod.mp4.boxes import walk
from videod.mp4.index import Index, load
from videod.mp4.model import Movie, Track

PICTURE = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=6")
SOUND = ("-f", "lavfi", "-i", "sine=440:r=48000:d=6")
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "3", "-sc_threshold", "0", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-b:a", "64k")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=25:bframes=3")
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
# how much a sparse file is shifted by
FAR = 5 << 30


class Packet(NamedTuple):
    """In ticks of the track, no edit list applied; dts counts from the first."""

    pts: int
    dts: int
    size: int
    pos: int
    key: bool


def packets(path: Path) -> list[list[Packet]]:
    """By track, in decoding order, as ffprobe reads them."""
    argv = ("ffprobe", "-v", "error", "-ignore_editlist", "1", "-show_packets", "-of", "json", str(path))
    tracks: dict[int, list[Packet]] = {}
    for p in json.loads(run(*argv))["packets"]:
        packet = Packet(p["pts"], p["dts"], int(p["size"]), int(p["pos"]), "K" in p["flags"])
        tracks.setdefault(p["stream_index"], []).append(packet)
    return [_from_zero(tracks[n]) for n in sorted(tracks)]


def ours(movie: Movie) -> list[list[Packet]]:
    """The same, as we read it."""
    found = []
    for track in movie.tracks:
        s = track.samples
        rows = zip(s.pts, s.dts, s.sizes, s.offsets, s.sync, strict=True)
        found.append(_from_zero([Packet(*row[:4], bool(row[4])) for row in rows]))
    return found


def _from_zero(rows: list[Packet]) -> list[Packet]:
    # negative composition offsets shift all dts of ffprobe, but no pts
    return [row._replace(dts=row.dts - rows[0].dts) for row in rows]


def streams(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(run("ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)))["streams"])


def starts(path: Path) -> list[Fraction]:
    """When the first packet of each track that is shown is shown, as ffprobe applies the edit list."""
    argv = ("ffprobe", "-v", "error", "-show_entries", "packet=stream_index,pts,flags:stream=time_base", "-of", "json")
    about = json.loads(run(*argv, str(path)))
    first: dict[int, int] = {}
    for p in about["packets"]:
        if "D" not in p["flags"]:
            first[p["stream_index"]] = min(p["pts"], first.get(p["stream_index"], p["pts"]))
    return [first[n] * Fraction(about["streams"][n]["time_base"]) for n in sorted(first)]


class Reader:
    """A file behind a callable, with a record of what was asked for."""

    def __init__(self, data: bytes | Path) -> None:
        self.asked: list[tuple[int, int]] = []
        self._data = data
        self.size = data.stat().st_size if isinstance(data, Path) else len(data)

    def __call__(self, offset: int, length: int) -> bytes:
        assert offset >= 0 and length > 0 and offset + length <= self.size
        self.asked.append((offset, length))
        if isinstance(self._data, bytes):
            return self._data[offset : offset + length]
        with self._data.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def opened(path: Path) -> Index:
    reader = Reader(path)
    return load(reader, reader.size)


def everything(path: Path) -> Movie:
    return opened(path).span(Fraction(0), Fraction(1000))


def the(movie: Movie, handler: bytes) -> Track:
    return next(track for track in movie.tracks if track.handler == handler)


# ------------------------------------------------------------------ boxes, to make files that ffmpeg does not
def box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def rebuilt(data: bytes, change: Callable[[bytes, bytes], bytes | None]) -> bytes:
    """A row of boxes anew: `change(kind, body)` gives a whole box in place of each that it wants to replace."""
    made = []
    for one in walk(data):
        body = data[one.body : one.end]
        new = change(one.kind, body)
        if new is None:
            new = box(one.kind, rebuilt(body, change)) if one.kind in CONTAINERS else data[one.start : one.end]
        made.append(new)
    return b"".join(made)


def tops(data: bytes) -> dict[bytes, bytes]:
    """The first top-level box of each kind."""
    found: dict[bytes, bytes] = {}
    for one in walk(data):
        found.setdefault(one.kind, data[one.start : one.end])
    return found


def far(source: Path, out: Path) -> Path:
    """The same samples behind 5 GiB of nothing, so that chunks need 64 bits."""
    parts = tops(source.read_bytes())
    mdat = parts[b"mdat"]
    start = next(one.body for one in walk(source.read_bytes()) if one.kind == b"mdat")
    shift = FAR - start

    def change(kind: bytes, body: bytes) -> bytes | None:
        if kind != b"stco":
            return None
        (count,) = struct.unpack_from(">I", body, 4)
        places = struct.unpack_from(f">{count}I", body, 8)
        return box(b"co64", body[:8], struct.pack(f">{count}Q", *(place + shift for place in places)))

    ftyp = parts[b"ftyp"]
    with out.open("wb") as file:
        file.write(ftyp + struct.pack(">I4sQ", 1, b"mdat", FAR - len(ftyp) + len(mdat) - 8))
        file.seek(FAR)
        file.write(mdat[8:] + rebuilt(parts[b"moov"], change))
    return out


# ------------------------------------------------------------------ the files
def _made(*argv: str) -> Callable[[Films, Path], object]:
    return lambda films, out: ffmpeg(*argv, str(out))


def _copied(*argv: str, of: str = "plain.mp4") -> Callable[[Films, Path], object]:
    return lambda films, out: ffmpeg("-i", str(films[of]), "-map", "0", "-c", "copy", *argv, str(out))


def _fragments(flags: str, *argv: str) -> Callable[[Films, Path], object]:
    return _copied(*argv, "-movflags", "frag_keyframe+" + flags)


_VFR = ("-vf", "select='lt(n,60)+not(mod(n,3))'", "-fps_mode", "vfr")
_LANGUAGES = ("-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=fra")
MAKERS: dict[str, Callable[[Films, Path], object]] = {
    "plain.mp4": _made(*PICTURE, *SOUND, *X264, *AAC),
    "front.mp4": _copied("-movflags", "+faststart"),
    "plain.mov": _copied(),
    "vfr.mp4": _made(*PICTURE, *_VFR, *X264),
    "late.mp4": lambda films, out: ffmpeg(
        *("-i", str(films["plain.mp4"]), "-itsoffset", "0.5", "-i", str(films["plain.mp4"])),
        *("-map", "0:v", "-map", "1:a", "-c", "copy", str(out)),
    ),
    "far.mp4": lambda films, out: far(films["plain.mp4"], out),
    "pcm.mov": _made(*PICTURE, *SOUND, *X264, "-c:a", "pcm_s16le", "-ac", "2"),
    "many.mp4": _made(*PICTURE, *SOUND, *X264, *AAC, "-map", "0:v", "-map", "1:a", "-map", "1:a", *_LANGUAGES),
    "hevc.mp4": _made(*PICTURE, *X265, "-pix_fmt", "yuv420p", "-tag:v", "hvc1"),
    "turned.mp4": _copied("-metadata:s:v", "rotate=90"),
    "negative.mp4": _copied("-movflags", "negative_cts_offsets"),
    "frag.mp4": _fragments("empty_moov+default_base_moof"),
    "base.mp4": _fragments("empty_moov"),
    "walk.mp4": _fragments("empty_moov+default_base_moof+skip_trailer"),
    "dash.mp4": _fragments("empty_moov+dash+global_sidx"),
    "segments.mp4": _fragments("empty_moov+dash+skip_trailer"),
    "delay.mp4": _fragments("delay_moov+default_base_moof"),
    "hybrid.mp4": _fragments("default_base_moof"),
    "apart.mp4": _fragments("empty_moov+separate_moof"),
    "short.mp4": _copied("-movflags", "empty_moov+default_base_moof", "-frag_duration", "200000"),
}
PLAIN = [name for name in MAKERS if name in list(MAKERS)[:11]]
FRAGMENTED = [name for name in MAKERS if name not in PLAIN]


class Films:
    """Makes each file once, for all tests that name the same folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder

    def __getitem__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            MAKERS[name](self, path)
        return path
