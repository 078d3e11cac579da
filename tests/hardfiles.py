"""Makers of hard files that tests/films.py has not: odd pictures, odd containers, broken, hostile, no video at all.

Each gives the truth about the file as it was made: which numbered picture is shown when. A file of which
nothing can be shown has no frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.films import Film, _copied, _simple, _steady
from tests.videos import X264, encode, ffmpeg, ffprobe, rewrap

if TYPE_CHECKING:
    from tests.media_fixtures import Studio

Maker = Callable[["Studio"], Film]
X265 = ("-c:v", "libx265", "-preset", "ultrafast")
UGLY = 'a"b\\c\n☃ 🎬 ;$(touch PWNED)`id`&& ' + "x" * 4000


def _side(name: str, chain: str, degrees: str, *argv: str) -> Maker:
    """Stored turned, with a matrix that turns it back: only who obeys it can read the barcode."""

    def make(studio: Studio) -> Film:
        lying = encode(studio.master(), studio.folder / f"{name}.lying.nut", "-vf", chain)
        path = rewrap(lying, studio.folder / name, "-metadata:s:v:0", f"rotate={degrees}", *argv)
        return _steady(path, sound="-an" not in argv)

    return make


def _huge(studio: Studio) -> Film:
    picture = (*X264[:2], "-preset", "ultrafast", "-g", "25")
    chain = ("-t", "1.6", "-vf", "scale=7680:4320")
    return _steady(encode(studio.master(), studio.folder / "huge.mp4", *chain, picture=picture), seconds=1.6)


def _wmv(studio: Studio) -> Film:
    # ASF's sound begins before its picture: the first beep is over when that comes
    how = {"picture": ("-c:v", "wmv2", "-b:v", "600k", "-g", "25"), "sound": ("-c:a", "wmav2")}
    film = _steady(encode(studio.master(), studio.folder / "old.wmv", **how))
    return replace(film, beeps=(film.beeps or [])[1:])


def _part(name: str, of: str, part: float) -> Maker:
    def make(studio: Studio) -> Film:
        film = studio.film(of)
        data = film.path.read_bytes()
        path = studio.folder / name
        path.write_bytes(data[: int(len(data) * part)])
        return replace(film, path=path)

    return make


def _text(name: str, text: str | bytes) -> Maker:
    """A file that is no video; `{folder}` stands for where the films are."""

    def make(studio: Studio) -> Film:
        path = studio.folder / name
        content = text if isinstance(text, bytes) else text.replace("{folder}", str(studio.folder)).encode()
        path.write_bytes(content)
        return Film(path, [], None)

    return make


def _slowmo(studio: Studio) -> Film:
    return _steady(encode(studio.master("240", 3), studio.folder / "slowmo.mp4", "-g", "240"), "240", 3)


def _nokey(studio: Studio) -> Film:
    path = rewrap(studio.film("mp4").path, studio.folder / "nokey_start.mp4", "-bsf:v", "noise=drop='eq(n,0)'")
    return _steady(path, first=25)


def _lossy(studio: Studio) -> Film:
    drop = "noise=drop='not(mod(n+1,9))'"
    return _steady(rewrap(studio.film("mp4").path, studio.folder / "lossy.ts", "-bsf:v", drop))


def _bits(studio: Studio) -> Film:
    return _steady(rewrap(studio.film("ts").path, studio.folder / "bits.ts", "-bsf:v", "noise=amount=1000"))


def _hole(studio: Studio) -> Film:
    film = studio.film("faststart")
    data = bytearray(film.path.read_bytes())
    low, high = int(len(data) * 0.5), int(len(data) * 0.6)
    data[low:high] = bytes(high - low)
    path = studio.folder / "hole.mp4"
    path.write_bytes(data)
    return replace(film, path=path)


def _joined(studio: Studio) -> Film:
    parts = []
    for n, size in enumerate(("320:180", "160:90")):
        part = studio.folder / f"joined{n}.ts"
        parts.append(
            encode(studio.master(), part, "-an", "-vf", f"scale={size}", "-bf", "0", "-output_ts_offset", str(6 * n))
        )
    both, path = studio.folder / "joined.ts", studio.folder / "joined.mp4"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    rewrap(both, path, "-bsf:v", "dump_extra")
    return Film(path, [(Fraction(n, 25), n % 150) for n in range(300)], None)


def _browser(studio: Studio) -> Film:
    chain = "select='not(eq(mod(n,7),3))'"
    picture = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k", "-g", "25")
    path = studio.folder / "browser.webm"
    master = str(studio.master())
    live = ffmpeg("-i", master, "-vf", chain, "-fps_mode", "vfr", *picture, "-c:a", "libopus", "-live", "1", "-f",
                  "webm", "-")  # fmt: skip
    path.write_bytes(live)
    return Film(path, [(Fraction(n, 25), n) for n in range(150) if n % 7 != 3], list(range(6)))


def _many(studio: Studio) -> Film:
    words = studio.folder / "words.srt"
    words.write_text("1\n00:00:01,000 --> 00:00:04,000\nhallo; \"quote\" 'x'\n")
    (studio.folder / "font.ttf").write_text("canary")
    surround = "[0:a]pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0[a]"
    path = studio.folder / "many.mkv"
    ffmpeg(
        "-i", str(studio.master()), "-i", str(words), "-filter_complex", surround,
        "-map", "0:v", "-map", "[a]", "-map", "0:a", "-map", "1", *X264, "-c:a:0", "ac3", "-c:a:1", "libopus",
        "-c:s", "ass", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=jpn",
        "-attach", str(studio.folder / "font.ttf"), "-metadata:s:t", "mimetype=application/x-truetype-font", str(path),
    )  # fmt: skip
    return _steady(path)


def _cover(studio: Studio) -> Film:
    path = studio.folder / "cover.m4a"
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:d=0.04", "-map", "0:a", "-map", "1:v", "-frames:v", "1"]
    picture += ["-c:a", "aac", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-disposition:v", "attached_pic"]
    ffmpeg("-i", str(studio.master()), *picture, str(path))
    return Film(path, [], None)


def _bomb(studio: Studio) -> Film:
    path = studio.folder / "bomb.mp4"
    black = ["-f", "lavfi", "-i", "color=black:s=8192x8192:r=1:d=2", "-c:v", "libx264", "-preset", "ultrafast"]
    ffmpeg(*black, "-pix_fmt", "yuv420p", str(path))
    return Film(path, [(Fraction(n), 0) for n in range(2)], None)


def _one(studio: Studio) -> Film:
    path = encode(studio.master(), studio.folder / "oneframe.mp4", "-an", "-frames:v", "1", sound=())
    return Film(path, [(Fraction(0), 0)], [])


def _gif(studio: Studio) -> Film:
    ffmpeg("-i", str(studio.master("10", 3)), "-an", str(studio.folder / "anim.gif"))
    return _steady(studio.folder / "anim.gif", "10", 3, sound=False)


def _midgop(studio: Studio) -> Film:
    """From the first key frame whose packet is whole behind the place where the recording sets in."""
    source = studio.film("ts").path
    at = source.stat().st_size // 4 + 77
    path = studio.folder / "late.ts"
    path.write_bytes(source.read_bytes()[at:])
    packets = ffprobe(source, "-select_streams", "v", "-show_entries", "packet=pos,pts_time,flags")["packets"]
    key = next(p for p in packets if "K" in p["flags"] and int(p["pos"]) >= at)
    start = min(float(p["pts_time"]) for p in packets)
    return _steady(path, first=round((float(key["pts_time"]) - start) * 25))


def _alpha(studio: Studio) -> Film:
    picture = ("-t", "3", "-vf", "format=yuva444p10le", "-c:v", "prores_ks", "-profile:v", "4444")
    sound = ("-c:a", "pcm_s24le")
    return _steady(encode(studio.master(), studio.folder / "alpha.mov", picture=picture, sound=sound), seconds=3)


MAKERS: dict[str, Maker] = {
    "faststart": _copied("faststart2.mp4", "mp4", "-movflags", "+faststart"),
    "slowmo": _slowmo,
    "nokey_start": _nokey,
    "late": _midgop,
    "bits": _bits,
    "lossy": _lossy,
    "side_silent": _side("side_silent.mp4", "transpose=1", "90", "-an"),
    "upside_down": _side("upside_down.mov", "hflip,vflip", "180"),
    "pal": _simple("pal.mp4", "-vf", "scale=360:288,setsar=64/45"),
    "hev1": _simple(
        "hev1.mp4", "-tag:v", "hev1", picture=(*X265, "-x265-params", "log-level=error:keyint=25:min-keyint=25")
    ),
    "fullrange": _simple(
        "fullrange.mov", "-pix_fmt", "yuvj420p", picture=("-c:v", "mjpeg", "-q:v", "4"), sound=("-c:a", "pcm_s16le")
    ),
    "alpha": _alpha,
    "resized_mp4": _joined,
    "huge": _huge,
    "gif": _gif,
    "bomb": _bomb,
    "cover": _cover,
    "many": _many,
    "vp9": _simple(
        "vp9.webm",
        picture=("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k", "-g", "25"),
        sound=("-c:a", "libopus"),
    ),
    "wmv": _wmv,
    "browser": _browser,
    "short_fragments": _part("short_fragments.mp4", "fragments", 0.6),
    "short_faststart": _part("short_faststart.mp4", "faststart", 0.6),
    "noindex": _part("noindex.mp4", "mp4", 0.6),
    "hole": _hole,
    "ts_named_mp4": _copied("ts_named.mp4", "ts", "-f", "mpegts"),
    "one": _one,
    "ugly_title": _copied("ugly_title.mp4", "mp4", "-metadata", f"title={UGLY}"),
    "ugly_name": _copied('-i it\'s "q" $(touch PWNED) ;&%d %03d ü.mp4', "mp4", "-f", "mp4"),
    "html": _text("html.mp4", "<!doctype html><title>404</title><p>gone\n"),
    "empty": _text("empty.mp4", ""),
    "hls_concat": _text(
        "hls_concat.mp4",
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n"
        "concat:file://{folder}/font.ttf|file://{folder}/plain.ts\n#EXT-X-ENDLIST\n",
    ),
    "hls_local": _text(
        "hls_local.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6.0,\n{folder}/plain.ts\n#EXT-X-ENDLIST\n"
    ),
    "hls_call": _text(
        "hls_call.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10.0,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n"
    ),
    "concat": _text("concat.mp4", "ffconcat version 1.0\nfile {folder}/plain.mp4\n"),
}
