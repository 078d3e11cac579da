"""Encode the frames at the edges of copies. What must be decoded for them goes into a small file of its own: in a
sparse copy of the source ffmpeg would probe the holes."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Sequence
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


def encode_edges(
    tracks: Tracks,
    edges: Sequence[Edge],
    needed: Iterable[int],
    encoder: Encoder,
    picture: Video,
    threads: int,
    tools: Tools,
) -> list[Encoded]:
    """The frames of each edge, decoded once for all; `needed`: which samples have to be decoded for them.

    Raises Unspliced, BadMp4, DiskFull.
    """
    excerpt = tools.scratch / "edge.src.mp4"
    outs = [tools.scratch / f"edge-{n}.mp4" for n in range(len(edges))]
    zero, counts = _excerpt(tracks, sorted(needed), excerpt), [len(edge.pts) for edge in edges]
    complaints, most = Complaints(), raw_bytes(picture, max(counts))
    try:
        argv = _start(excerpt, threads)
        for edge, out in zip(edges, outs, strict=True):
            argv += _output(tracks.video, edge, zero, encoder, out)
        result = tools.run(
            argv,
            on_line=_bounded(max(counts)),
            on_error_line=complaints.take,
            may_fail=True,
            limits=tools.limits.within(most),
        )
        check_room(result)
        if result.code or complaints.lines:
            said = " | ".join(complaints.lines[:2])
            raise Unspliced(f"the frames at an edge cannot be decoded and encoded: {said or result.code}")
        for out in outs:
            check_made(out)
        return [_read(out, count) for out, count in zip(outs, counts, strict=True)]
    finally:
        for path in (excerpt, *outs):
            path.unlink(missing_ok=True)


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


def _start(source: Path, threads: int) -> list[str]:
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", LOUD, "-y", "-threads", str(threads), "-noautorotate"]
    # what it tells keeps the stall watch quiet
    return [*argv, "-progress", "pipe:1", "-copyts", *opened(str(source))]


def _output(track: Track, edge: Edge, zero: int, encoder: Encoder, out: Path) -> list[str]:
    """The frames of one edge out of what is decoded; `zero`: what is 0 there."""
    first, stop, rate = edge.pts[0] - zero, edge.pts[-1] - zero + 1, str(_rate(track, edge.samples))
    filters = f"trim=start_pts={first}:end_pts={stop},setpts=PTS-{first}"
    argv = ["-map", "0:v:0", "-filter:v", f"{filters},{encoder.chain}" if encoder.chain else filters]
    argv += ["-fps_mode", "passthrough", "-enc_time_base:v", f"1/{track.timescale}"]
    argv += [*encoder.options, "-maxrate", rate, "-bufsize", rate]
    return [*argv, "-video_track_timescale", str(track.timescale), "-f", "mp4", f"file:{out}"]


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
