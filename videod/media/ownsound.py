"""The sound of the source, as it is, beside a picture that was encoded: what is AAC needs not be encoded again."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from videod.config.presets import Preset
from videod.media.argv import LONGEST_TITLE
from videod.media.model import Plan, Source
from videod.media.part import as_mp4
from videod.media.probe import Bounds
from videod.media.soundtrack import Reading, soundtracks
from videod.media.splice import Unspliced
from videod.media.tracks import read_tracks
from videod.mp4.boxes import BadMp4
from videod.mp4.copying import FileCopy
from videod.mp4.index import load
from videod.mp4.output import TrackOut, copied
from videod.mp4.writer import write
from videod.process import Tools

# the places of samples: the source, the encoded picture, and sound that had to be encoded
PICTURE = 1


def with_own_sound(
    source: Source, plan: Plan, made: Path, out: Path, preset: Preset, tools: Tools, settings: Bounds
) -> str:
    """Write `out` (MP4 or MOV) with the picture of `made` and the sound of the source, copied where it is AAC.

    Gives why that cannot be; empty if it was done. Raises DiskFull and what Tools.run does.
    """
    part, sound = tools.scratch / "part.mp4", tools.scratch / "sound.mp4"
    if not any(track.codec == "aac" for track in source.media.audio):
        return "no sound track is AAC"
    try:
        whole = Reading(source, plan)
        if "mov" not in source.media.formats:
            source, plan = as_mp4(source, plan, preset, part, tools, settings)
        tracks = read_tracks(source.media, plan.pts[0] * plan.time_base, plan.after * plan.time_base)
        with contextlib.ExitStack() as files:
            sounds = soundtracks(whole, Reading(source, plan), tracks, preset, sound, tools)
            paths = [Path(source.media.path), made, *([sound] if sound.exists() else [])]
            sources: list[BinaryIO] = [files.enter_context(open(path, "rb", buffering=0)) for path in paths]
            with open(out, "wb") as file:
                copy, title = FileCopy(file, sources), whole.source.media.title[:LONGEST_TITLE]
                write(file, [_picture(made), *sounds], copy, quicktime=preset.container == "mov", title=title)
        return ""
    except (BadMp4, Unspliced) as error:
        return str(error)
    finally:
        part.unlink(missing_ok=True)
        sound.unlink(missing_ok=True)


def _picture(made: Path) -> TrackOut:
    with open(made, "rb", buffering=0) as file:
        number = file.fileno()
        movie = load(lambda offset, length: os.pread(number, length, offset), os.fstat(number).st_size).movie
    if movie.lead is None:
        raise BadMp4("the picture was not encoded")
    track = copied(movie.lead, movie.timescale)
    return replace(track, sources=bytes([PICTURE]) * len(track.samples))
