"""The needed part of a file that is no MP4, as an MP4: so that sample tables tell its frames, and those of AAC, too."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path

from videod.config.presets import Preset
from videod.errors import Permanent
from videod.media import argv
from videod.media.bounds import most_bytes
from videod.media.copying import audible, prepare
from videod.media.model import Media, Plan, Source
from videod.media.plan import MICRO, micro, plan
from videod.media.probe import Bounds, probe
from videod.media.room import check_made, check_room
from videod.media.splice import Unspliced
from videod.process import Tools


def as_mp4(
    source: Source, wanted: Plan, preset: Preset, out: Path, tools: Tools, settings: Bounds
) -> tuple[Source, Plan]:
    """Copy what `wanted` needs into `out`; the source of that, and the plan on its clock. Raises Unspliced.

    Sound that is no AAC stays out, its track has the index -1: to be encoded it is read from the source itself,
    where a decoder finds what it needs to begin with.
    """
    aac = [track for track in source.media.audio if track.codec == "aac" and not track.silent]
    heard = replace(source, media=replace(source.media, audio=() if wanted.exact_sound else tuple(aac)))
    whole = replace(source.media, whole=True)
    try:
        # a key frame more: the end may lean on pictures that are stored behind it
        part = plan(
            whole, source.frames, micro(wanted.start) / MICRO, (micro(wanted.end) - 1) / MICRO, "keyframe", "mp4"
        )
    except Permanent as failure:
        raise Unspliced(failure.message) from None
    if part.cut != "keyframe":
        raise Unspliced("the needed part cannot be copied")
    part = replace(part, sound=wanted.sound)
    heard, spans = audible(heard, part, tools)
    seek, found = True, prepare(heard, part, "mp4", spans, tools, seek=True)
    if found is None:
        seek, found = False, prepare(heard, part, "mp4", spans, tools, seek=False)
    if found is None:
        raise Unspliced("packets of the needed part are not where the index says")
    limits = tools.limits.within(most_bytes(heard.media, part, preset))
    command = argv.copy(heard, part, "mp4", out, preset, found[0], seek=seek)
    result = tools.run(command, on_line=lambda line: None, limits=limits, may_fail=True)
    check_room(result)
    if result.code:  # FLAC in MP4, and what else ffmpeg only reads
        raise Unspliced(f"the needed part cannot be put into MP4: {result.tail.strip().splitlines()[-1:]}")
    check_made(out)
    return _moved(source, heard, wanted, part, out, tools, settings)


def _moved(
    source: Source, heard: Source, wanted: Plan, part: Plan, out: Path, tools: Tools, settings: Bounds
) -> tuple[Source, Plan]:
    made, old = probe(str(out), tools, settings), source.media
    base, zero = made.video.time_base, part.pts[0]
    scale = wanted.time_base / base
    if scale.denominator != 1:
        raise Unspliced("the clock of the picture does not fit into MP4")
    times = array("q", [(pts - zero) * int(scale) for pts in wanted.pts])
    begin = zero * wanted.time_base
    stop = wanted.sound[1]
    sound = wanted.sound[0] - begin, None if stop is None else stop - begin
    video = replace(old.video, index=made.video.index, time_base=base, start=made.video.start)
    found = {track.index: new for track, new in zip(heard.media.audio, made.audio, strict=False)}
    audio = tuple(found.get(track.index, replace(track, index=-1)) for track in old.audio)
    media: Media = replace(old, path=str(out), formats=made.formats, size=made.size, video=video, audio=audio)
    moved = replace(wanted, pts=times, after=(wanted.after - zero) * int(scale), time_base=base, sound=sound, seek=None)
    return Source(media, heard.frames), moved
