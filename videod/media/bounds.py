"""How much an output may hold at the most: what runs past it is ended, whatever it is.

A tool that goes wild would fill the disk, and with it stop the other jobs. Loose bounds: what is a little off
is found by verify.
"""

from __future__ import annotations

from videod.config.presets import Preset
from videod.media.filters import target
from videod.media.model import Media, Plan, Video

# per pixel and frame: 4:2:0 of more than 8 bits, not compressed at all
RAW = 3
# a second of a sound track, more than any encoder makes of it
SOUND = 200_000
# headers, indices, and the frames that a copy has more than were asked for
ROOM = 64 << 20
SPARE_FRAMES = 100


def most_frames(plan: Plan) -> int:
    """Frames."""
    return 2 * plan.count + SPARE_FRAMES


def raw_bytes(video: Video, frames: int) -> int:
    """Of an encoded picture: that of so many frames laid down raw."""
    return RAW * video.width * video.height * frames + ROOM


def sound_bytes(plan: Plan, tracks: int) -> int:
    """Of so many encoded sound tracks."""
    return tracks * int(plan.duration + 1) * SOUND + ROOM


def most_bytes(media: Media, plan: Plan, preset: Preset) -> int:
    """Bytes: those of the frames laid down raw, or of the whole source for a copy, and of the sound."""
    width, height = target(media.video, preset)
    picture = RAW * width * height * plan.count if plan.cut in {"encode", "smart"} else media.size
    return picture + len(media.audio) * int(plan.duration + 1) * SOUND + ROOM
