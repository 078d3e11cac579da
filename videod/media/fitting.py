"""Whether a picture is already what a preset would make of it: then it is copied and not encoded. Pure."""

from __future__ import annotations

from videod.config.presets import Preset
from videod.media.filters import scaled, slots, tone_mapped, upright
from videod.media.model import Plan, Source

# of H.264: what each browser decodes, 8 bits of 4:2:0
_PROFILES = frozenset({"Constrained Baseline", "Baseline", "Main", "High"})
_DEEPEST_LEVEL = 52
_PLAIN = frozenset({"yuv420p", "yuvj420p"})
_DEEP = frozenset({"yuv420p10le"})


def misfit(source: Source, plan: Plan, preset: Preset) -> str:
    """Why the picture has to be encoded, in words; empty if it may stay as it is."""
    video = source.media.video
    allowed = _PLAIN | (_DEEP if preset.video == "hevc" else frozenset())
    reasons = {
        f"it is {video.codec}": video.codec != preset.video,
        f"its samples are {video.pix_fmt or 'unknown'}": video.pix_fmt not in allowed,
        f"its profile is {video.profile}": preset.video == video.codec == "h264" and video.profile not in _PROFILES,
        f"its level is {video.level / 10:g}": preset.video == video.codec == "h264" and video.level > _DEEPEST_LEVEL,
        "it is stored turned": bool(video.rotation),
        "it is interlaced": preset.deinterlace and video.field_order not in {"progressive", "unknown", ""},
        "it is HDR": tone_mapped(video, preset),
        "its size is odd": any(side % 2 for side in upright(video)),
        "its size or the shape of its pixels has to change": scaled(video, preset),
        "it has too many frames a second": slots(plan, preset) is not None,
        "its frames have no times of their own": source.frames.step is not None,
    }
    return ", ".join(text for text, true in reasons.items() if true)
