"""The sound of a smart cut: AAC is copied, the rest encoded. An edit list makes it begin on the sample."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from videod.config.presets import Preset
from videod.media import argv
from videod.media.bounds import sound_bytes
from videod.media.model import Audio, Media, Plan, Source
from videod.media.room import check_made, check_room
from videod.media.tracks import Tracks
from videod.mp4.boxes import BadMp4
from videod.mp4.entries import first_reference
from videod.mp4.index import load
from videod.mp4.model import Placement, Samples, Track
from videod.mp4.output import TrackOut, copied
from videod.process import Tools

# the places of a TrackOut's samples: the source itself, and the file of what was encoded
SOURCE, ENCODED = 0, 2


@dataclass(frozen=True)
class Reading:
    """Where sound is read: a source, and the plan on its clock."""

    source: Source
    plan: Plan


def soundtracks(
    whole: Reading, part: Reading, tracks: Tracks, preset: Preset, encoded: Path, tools: Tools
) -> list[TrackOut]:
    """The tracks in their order: copied as `tracks` tells of `part`, or encoded from `whole` into the file `encoded`.

    Raises BadMp4, DiskFull, and what Tools.run does.
    """
    media, exact = whole.source.media, whole.plan.exact_sound
    ready, anew = list[TrackOut | None](), list[Audio]()
    for track, there in zip(media.audio, part.source.media.audio, strict=True):
        old = None if exact or track.silent else tracks.sound(there)
        ready.append(_copied(old, tracks.movie.timescale, part.plan) if old else None)
        # one that stands for a pause alone is silent, too
        anew += [] if ready[-1] else [replace(track, silent=track.silent or old is not None)]
    made = iter(_encoded(media, whole.plan, preset, anew, encoded, tools) if anew else ())
    return [_told(one or next(made), track) for one, track in zip(ready, media.audio, strict=True)]


def _told(made: TrackOut, about: Audio) -> TrackOut:
    """With the language and the title that ffprobe tells; it knows no titles of tracks of MP4."""
    known = len(about.language) == 3 and about.language.isascii() and about.language.islower()
    title = (about.title or made.title)[: argv.LONGEST_TAG]
    return replace(made, language=about.language if known else made.language, title=title)


def _encoded(
    media: Media, plan: Plan, preset: Preset, anew: Sequence[Audio], out: Path, tools: Tools
) -> list[TrackOut]:
    limits = tools.limits.within(sound_bytes(plan, len(anew)))
    check_room(tools.run(argv.sound(media, plan, preset, anew, out), on_line=lambda line: None, limits=limits))
    check_made(out)
    with open(out, "rb", buffering=0) as file:
        number = file.fileno()
        movie = load(lambda offset, length: os.pread(number, length, offset), os.fstat(number).st_size).movie
    if len(movie.tracks) != len(anew):
        raise BadMp4("a sound track was not encoded")
    made = [copied(track, movie.timescale) for track in movie.tracks]
    enabled = [track.default or len(media.audio) == 1 for track in anew]
    return [
        replace(
            one,
            sources=bytes([ENCODED]) * len(one.samples),
            header=replace(one.header, enabled=on) if one.header else None,
        )
        for one, on in zip(made, enabled, strict=True)
    ]


def _copied(track: Track, timescale: int, plan: Plan) -> TrackOut | None:
    """The coded frames that lie in the plan's part or straddle its ends, and one before: they overlap. None if there
    are none."""
    samples, shift = track.samples, track.shift(timescale)
    assert shift is not None
    begin, end = plan.sound
    low = (begin - shift) * track.timescale
    high = None if end is None else (end - shift) * track.timescale
    # one that lasts longer stands for a pause, too, in which nothing of it is heard
    usual = Counter(samples.durations).most_common(1)[0][0]
    columns = enumerate(zip(samples.pts, samples.durations, strict=True))
    inside = [n for n, (at, lasts) in columns if at + min(lasts, usual) > low and (high is None or at < high)]
    if not inside:
        return None
    first, last = inside[0], inside[-1]
    if first and _joins(samples, first - 1):
        first -= 1
    part = slice(first, last + 1)
    times = samples.pts[part]
    chosen = Samples(
        samples.sizes[part],
        samples.offsets[part],
        array("q", times),
        times,
        samples.durations[part],
        samples.sync[part],
    )
    stop = times[-1] + samples.durations[last]
    stop = stop if high is None else min(stop, round(high))
    start = max(round(low), times[0])
    late = Fraction(start - round(low), track.timescale)
    return TrackOut(
        b"soun",
        track.timescale,
        first_reference(track.entry),
        chosen,
        bytes([SOURCE]) * len(chosen),
        Placement(start, late, Fraction(stop - start, track.timescale)),
        track.header,
        track.language,
        track.media_header,
        title=track.title,
    )


def _joins(samples: Samples, n: int) -> bool:
    """Whether a coded frame leads up to the next. One that stands for a pause, too, makes players skip too much."""
    at, lasts = samples.pts[n], samples.durations[n]
    return at + lasts == samples.pts[n + 1] and lasts <= samples.durations[n + 1]
