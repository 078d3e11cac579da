"""The films that tests of videod/media cut: one maker for each kind of source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from tests import videos
from tests.videos import X264, encode, ffmpeg, numbers, rewrap

if TYPE_CHECKING:
    from tests.media_fixtures import Studio


@dataclass(frozen=True)
class Film:
    """A file and the truth about it: (seconds, number) of each shown frame, seconds of each beep.

    Without `beeps` nothing is known of its sound.
    """

    path: Path
    frames: list[tuple[Fraction, int]]
    beeps: list[float] | None

    def expected(self, start: float | None, end: float | None) -> list[tuple[Fraction, int]]:
        """The frames whose time lies in [start, end)."""
        low, high = Fraction(str(start or 0)), Fraction(str(end if end is not None else 10**6))
        return [(time, number) for time, number in self.frames if low <= time < high]


def _steady(path: Path, rate: str = "25", seconds: float = 6.0, first: int = 0, sound: bool = True) -> Film:
    fps = Fraction(rate)
    count = int(seconds * fps) - first
    frames = [(n / fps, n + first) for n in range(count)]
    begin = float(first / fps)
    return Film(path, frames, [s - begin for s in range(ceil(seconds))] if sound else [])


def _simple(name: str, *argv: str, **how: object) -> Callable[[Studio], Film]:
    def make(studio: Studio) -> Film:
        return _steady(encode(studio.master(), studio.folder / name, *argv, **how))  # type: ignore[arg-type]

    return make


def _copied(name: str, of: str, *argv: str) -> Callable[[Studio], Film]:
    def make(studio: Studio) -> Film:
        film = studio.film(of)
        return replace(film, path=rewrap(film.path, studio.folder / name, *argv))

    return make


def _vfr(studio: Studio) -> Film:
    keep = [n for n in range(180) if n < 60 or (n < 120 and n % 2 == 0) or n % 3 == 0]
    chain = "select='lt(n,60)+lt(n,120)*not(mod(n,2))+not(mod(n,3))'"
    path = encode(studio.master("30"), studio.folder / "vfr.mp4", "-vf", chain, "-fps_mode", "vfr")
    return Film(path, [(Fraction(n, 30), n) for n in keep], list(range(6)))


def _edited(studio: Studio) -> Film:
    # what `-ss -c copy` writes: the key frame and what follows it are stored and hidden
    path = studio.folder / "edited.mp4"
    ffmpeg("-ss", "1.48", "-i", str(studio.film("mp4").path), "-c", "copy", "-avoid_negative_ts", "disabled", str(path))
    return _steady(path, first=37)


def _turned(studio: Studio) -> Film:
    # stored lying on its side: only who obeys the matrix can read the barcode
    upright = encode(studio.master(), studio.folder / "side.nut", "-vf", "transpose=2")
    path = studio.folder / "turned.mp4"
    ffmpeg("-i", str(upright), "-c", "copy", "-metadata:s:v:0", "rotate=270", str(path))
    return _steady(path)


def _silent(studio: Studio) -> Film:
    path = rewrap(studio.film("mp4").path, studio.folder / "silent.mp4", "-an")
    return _steady(path, sound=False)


def _odd(studio: Studio) -> Film:
    chain = "scale=321:181,setsar=1"
    picture = (*X264[:2], "-preset", "veryfast", "-pix_fmt", "yuv444p")
    return _steady(encode(studio.master(), studio.folder / "odd.mp4", "-vf", chain, picture=picture))


def _two_tracks(studio: Studio) -> Film:
    path = studio.folder / "two.mkv"
    tags = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=jpn", "-metadata:s:a:1", "title=Zweiter"]
    tags += ["-metadata", "title=A film", "-metadata", "location=+48.1+11.5/", "-disposition:a:1", "default"]
    sound = ["-c:a:0", "ac3", "-c:a:1", "libopus", "-disposition:a:0", "0"]
    ffmpeg("-i", str(studio.master()), "-map", "0:v", "-map", "0:a", "-map", "0:a", *X264, *sound, *tags, str(path))
    return _steady(path)


def _film(studio: Studio) -> Film:
    rate = "24000/1001"
    path = encode(studio.master(rate), studio.folder / "film.mkv")
    # Matroska counts milliseconds
    first = Fraction(round(1000 * Fraction(str(min(videos.frame_times(path))))), 1000)
    times = sorted(Fraction(str(time)) for time in videos.frame_times(path))
    assert all(abs(float(time - first - n / Fraction(rate))) <= 0.001 for n, time in enumerate(times))
    return Film(path, [(time - first, n) for n, time in enumerate(times)], list(range(6)))


def _slow(studio: Studio) -> Film:
    return _steady(encode(studio.master("1", 9), studio.folder / "slow.mp4"), "1", 9)


def _opengop(studio: Studio) -> Film:
    more = ("-x264-params", "open-gop=1:b-pyramid=normal:scenecut=0:keyint=25:min-keyint=25:bframes=3:b-adapt=0")
    return _steady(encode(studio.master(), studio.folder / "opengop.mp4", picture=(*X264, *more)))


def _opengop_hevc(studio: Studio) -> Film:
    more = "log-level=error:open-gop=1:keyint=25:min-keyint=25:bframes=4:scenecut=0"
    picture = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", more)
    return _steady(encode(studio.master(), studio.folder / "opengop_hevc.mp4", picture=picture))


def _interlaced(studio: Studio) -> Film:
    picture = ("-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-b:v", "1500k", "-g", "12", "-bf", "2")
    chain = "tinterlace=interleave_top,setfield=tff"
    path = encode(
        studio.master("50"), studio.folder / "interlaced.ts", "-vf", chain, picture=picture, sound=("-c:a", "mp2")
    )
    return Film(path, [(Fraction(n, 25), 2 * n) for n in range(150)], list(range(6)))


def _glued(studio: Studio) -> Film:
    part = studio.film("ts")
    path = studio.folder / "glued.ts"
    path.write_bytes(part.path.read_bytes() * 2)
    frames = [*part.frames, *((time + 6, number) for time, number in part.frames)]
    return Film(path, frames, list(range(12)))


def _midgop(studio: Studio) -> Film:
    data = studio.film("ts").path.read_bytes()
    path = studio.folder / "midgop.ts"
    path.write_bytes(data[len(data) // 4 + 77 :])
    return _steady(path, first=numbers(path)[0])


def _resized(studio: Studio) -> Film:
    parts = []
    for n, size in enumerate(("320:180", "160:90")):
        part = studio.folder / f"size{n}.ts"
        chain = ["-an", "-vf", f"scale={size}", "-bf", "0", "-output_ts_offset", str(6 * n - 0.08 * n)]
        parts.append(encode(studio.master(), part, *chain))
    path = studio.folder / "resized.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    # the small part begins 2 frames before the large one ends: these two give way
    part = [(Fraction(n, 25), n) for n in range(150)]
    frames = [*part[:-2], *((time + 6 - Fraction(2, 25), number) for time, number in part)]
    return Film(path, frames, None)


def _hik(studio: Studio) -> Film:
    stream = studio.folder / "hik.vob"
    rewrap(studio.film("mp4").path, stream, "-bsf:v", "h264_mp4toannexb", "-c:a", "mp2", "-f", "vob")
    path = studio.folder / "hik.mp4"
    path.write_bytes(b"IMKH" + bytes(36) + stream.read_bytes())
    return _steady(path)


def _hdr(studio: Studio) -> Film:
    params = (
        "log-level=error:keyint=25:hdr-opt=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    )
    picture = ["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-pix_fmt", "yuv420p10le"]
    picture += [
        "-color_primaries",
        "bt2020",
        "-color_trc",
        "smpte2084",
        "-colorspace",
        "bt2020nc",
        "-x265-params",
        params,
    ]
    return _steady(encode(studio.master(), studio.folder / "hdr.mp4", picture=picture))


MAKERS: dict[str, Callable[[Studio], Film]] = {
    "mp4": _simple("plain.mp4"),
    "mkv": _copied("plain.mkv", "mp4"),
    "ts": _copied("plain.ts", "mp4"),
    "fragments": _copied("fragments.mp4", "mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"),
    "vfr": _vfr,
    "edited": _edited,
    "turned": _turned,
    "silent": _silent,
    "odd": _odd,
    "two": _two_tracks,
    "film": _film,
    "slow": _slow,
    "onekey": _simple("onekey.mp4", picture=(*X264, "-g", "9999", "-keyint_min", "9999")),
    "opengop": _opengop,
    "opengop_hevc": _opengop_hevc,
    "interlaced": _interlaced,
    "avi": _copied("h264.avi", "mp4", "-bsf:v", "h264_mp4toannexb"),
    "xvid": _simple(
        "xvid.avi", picture=("-c:v", "mpeg4", "-bf", "2", "-q:v", "4", "-g", "40"), sound=("-c:a", "libmp3lame")
    ),
    "flv": _simple("old.flv", "-ar", "44100", picture=("-c:v", "flv", "-q:v", "4"), sound=("-c:a", "libmp3lame")),
    "webm": _simple(
        "vp8.webm", picture=("-c:v", "libvpx", "-b:v", "600k", "-cpu-used", "8"), sound=("-c:a", "libopus")
    ),
    "glued": _glued,
    "midgop": _midgop,
    "resized": _resized,
    "hik": _hik,
    "hdr": _hdr,
    "deep": _simple("deep.mkv", picture=(*X264, "-pix_fmt", "yuv420p10le")),
}
