"""A smart cut: copy the samples between two clean places, encode only the frames before and behind them.

How the parts come to stand together depends on the codec (`coding.py`). Where that, or anything else, is not
possible, the reason is given and the caller encodes all frames.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from videod.codec.bits import BadBitstream
from videod.codec.onto import Misfit
from videod.config.presets import Preset
from videod.media.ahead import Ahead
from videod.media.argv import LONGEST_TITLE
from videod.media.avc_coding import AvcCoding
from videod.media.coding import Coding, Stored
from videod.media.hevc_coding import HevcCoding
from videod.media.model import Plan, Source
from videod.media.part import as_mp4
from videod.media.pieces import Pieces
from videod.media.probe import Bounds
from videod.media.seams import check_copied, check_seams, picture
from videod.media.soundtrack import Reading, soundtracks
from videod.media.splice import Unspliced
from videod.media.tracks import read_tracks
from videod.mp4.boxes import BadMp4
from videod.mp4.copying import FileCopy
from videod.mp4.patchwork import Patchwork
from videod.mp4.writer import write
from videod.process import Tools

CODINGS: Mapping[str, type[Coding]] = {"h264": AvcCoding, "hevc": HevcCoding}


def smart_cut(
    source: Source, plan: Plan, out: Path, preset: Preset, tools: Tools, settings: Bounds, threads: int, ahead: Ahead
) -> int | str:
    """Write `out` (MP4 or MOV) with exactly the plan's frames: how many were copied, or why all must be encoded.
    `ahead`: of the source.

    Raises DiskFull and what Tools.run does.
    """
    part, sound = tools.scratch / "part.mp4", tools.scratch / "sound.mp4"
    try:
        whole = Reading(source, plan)
        ahead.begin(plan.pts)
        if "mov" not in source.media.formats:
            # a file of this clip alone
            ahead = Ahead()
            source, plan = as_mp4(source, plan, preset, part, tools, settings)
        reach = plan.pts[0] * plan.time_base, plan.after * plan.time_base
        tracks = read_tracks(source.media, *reach)
        with contextlib.ExitStack() as files:
            file = files.enter_context(open(tracks.path, "rb", buffering=0))
            stored, video = Stored(file, tracks), source.media.video
            coding = CODINGS[video.codec](stored)
            pieces = Pieces(stored, coding, video, ahead)
            found = pieces.spliced(plan.pts)
            pieces.encode(found, tools, threads)
            check_seams(pieces, file, tools, source.media.max_pixels)
            shown = picture(pieces, pieces.rows, plan.pts[0], plan.after)
            sounds = soundtracks(whole, Reading(source, plan), tracks, preset, sound, tools)
            sources: list[BinaryIO | Patchwork | bytes] = [file, pieces.made]
            if sound.exists():
                sources.append(files.enter_context(open(sound, "rb", buffering=0)))
            with open(out, "wb") as made:
                copy, title = FileCopy(made, sources), whole.source.media.title[:LONGEST_TITLE]
                write(made, [shown, *sounds], copy, quicktime=preset.container == "mov", title=title)
            check_copied(pieces, file, out)
        return len(found.copied)
    except (BadMp4, BadBitstream, Misfit, Unspliced) as error:
        return str(error)
    finally:
        part.unlink(missing_ok=True)
        sound.unlink(missing_ok=True)
