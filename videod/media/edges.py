"""Encode the frames at an edge of a copy. What must be decoded for them goes into a small file of its own: in a
sparse copy of the source ffmpeg would probe the holes."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from videod.errors import EncodeFailed
from videod.media.bounds import SPARE_FRAMES, raw_bytes
from videod.media.model import Video
from videod.media.reading import LOUD, Complaints, opened
from videod.media.room import check_made, check_room
from videod.media.splice import Edge, Unspliced
from videod.media.tracks import Tracks
from videod.mp4.boxes import BadMp4
from videod.mp4.copying import FileCopy
from videod.mp4.entries import first_reference
from videod.mp4.index import load
from videod.mp4.model import Samples, Track
from videod.mp4.output import TrackOut
from videod.mp4.times import decode_times, durations
from videod.mp4.writer import write
from videod.process import Tools

# an edge may take so much more a second than the source does there: uncapped, noise took 40 MB
MOST_RATE = Fraction(3, 2)


@dataclass(frozen=True)
class Encoder:
    """How to encode an edge: ffmpeg's options, and filters behind those that choose the frames."""

    options: Sequence[str]
    chain: str = ""


@dataclass(frozen=True)
class Encoded:
    """An encoded edge: its sample entry's track, its samples in decoding order, their display rank."""

    track: Track
    samples: tuple[bytes, ...]
    ranks: tuple[int, ...]


def encode_edge(
    tracks: Tracks, edge: Edge, needed: Sequence[int], encoder: Encoder, picture: Video, threads: int, tools: Tools
) -> Encoded:
    """The frames of `edge`; `needed`: which of its samples have to be decoded. Raises Unspliced, BadMp4, DiskFull."""
    excerpt, out = tools.scratch / "edge.src.mp4", tools.scratch / "edge.mp4"
    zero = _excerpt(tracks, needed, excerpt)
    rate = _rate(tracks.video, edge.samples)
    complaints, most = Complaints(), raw_bytes(picture, len(edge.pts))
    try:
        shown = edge.pts[0] - zero, edge.pts[-1] - zero + 1
        argv = _start(excerpt, shown, encoder.chain, tracks.video.timescale, threads)
        argv += [*encoder.options, "-maxrate", str(rate), "-bufsize", str(rate)]
        argv += ["-video_track_timescale", str(tracks.video.timescale), "-f", "mp4", f"file:{out}"]
        result = tools.run(
            argv,
            on_line=_bounded(len(edge.pts)),
            on_error_line=complaints.take,
            may_fail=True,
            limits=tools.limits.within(most),
        )
        check_room(result)
        if result.code or complaints.lines:
            said = " | ".join(complaints.lines[:2])
            raise Unspliced(f"the frames at an edge cannot be decoded and encoded: {said or result.code}")
        check_made(out)
        return _read(out, len(edge.pts))
    finally:
        excerpt.unlink(missing_ok=True)
        out.unlink(missing_ok=True)


def _bounded(count: int) -> Callable[[str], None]:
    """Takes a line of ffmpeg's progress. Raises EncodeFailed where it makes far more frames than asked for."""
    most = 2 * count + SPARE_FRAMES

    def take(line: str) -> None:
        name, _, value = line.partition("=")
        if name == "frame" and value.strip().isdigit() and int(value) > most:
            raise EncodeFailed(f"ffmpeg made more than {most} frames of {count}", stage="cut")

    return take


def _excerpt(tracks: Tracks, needed: Sequence[int], out: Path) -> int:
    """A file of these samples; the display time that is 0 in it."""
    samples, pts = tracks.video.samples, [tracks.pts[n] for n in needed]
    zero = min(pts)
    times = array("q", [time - zero for time in pts])
    dts = decode_times(times)
    last = max(samples.durations[n] for n in needed)
    track = TrackOut(
        b"vide",
        tracks.video.timescale,
        first_reference(tracks.video.entry),
        Samples(
            array("I", [samples.sizes[n] for n in needed]),
            array("q", [samples.offsets[n] for n in needed]),
            dts,
            times,
            durations(dts, max(times) + last),
            bytes(samples.sync[n] for n in needed),
        ),
    )
    with open(tracks.path, "rb", buffering=0) as source, open(out, "wb") as made:
        write(made, [track], FileCopy(made, [source]))
    return zero


def _rate(track: Track, part: range) -> int:
    """Bits a second that an edge may take."""
    samples = track.samples
    seconds = Fraction(sum(samples.durations[part.start : part.stop]), track.timescale)
    bits = 8 * sum(samples.sizes[part.start : part.stop])
    return max(64_000, int(MOST_RATE * bits / seconds)) if seconds else 8_000_000


def _start(source: Path, shown: tuple[int, int], chain: str, timescale: int, threads: int) -> list[str]:
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", LOUD, "-y", "-threads", str(threads), "-noautorotate"]
    # what it tells keeps the stall watch quiet
    argv += ["-progress", "pipe:1", "-copyts", *opened(str(source)), "-map", "0:v:0"]
    first, stop = shown
    filters = f"trim=start_pts={first}:end_pts={stop},setpts=PTS-{first}"
    argv += ["-filter:v", f"{filters},{chain}" if chain else filters]
    return [*argv, "-fps_mode", "passthrough", "-enc_time_base:v", f"1/{timescale}"]


def _read(path: Path, count: int) -> Encoded:
    with open(path, "rb", buffering=0) as file:
        number = file.fileno()

        def read(offset: int, length: int) -> bytes:
            return os.pread(number, length, offset)

        movie = load(read, os.fstat(number).st_size).movie
        track = movie.lead
        if track is None:
            raise BadMp4("an edge without a picture")
        samples = track.samples
        if len(samples) != count:
            raise Unspliced(f"{len(samples)} frames of an edge were encoded of {count}")
        order = {time: rank for rank, time in enumerate(sorted(samples.pts))}
        ranks = tuple(order[time] for time in samples.pts)
        parts = tuple(read(offset, size) for offset, size in zip(samples.offsets, samples.sizes, strict=True))
    return Encoded(track, parts, ranks)
