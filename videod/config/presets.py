"""Presets: how results are encoded, and those that are built in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from videod.config import values as v
from videod.config.options import option


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How to encode; `[preset NAME]`. Built in: default, html5, classic, hls."""

    container: str = option("mp4", v.one_of("mp4", "mov", "mkv", "ts"), "the container: mp4, mov, mkv or ts")
    video: str = option("h264", v.one_of("h264", "hevc"), "the codec of the picture: h264 or hevc")
    quality: int = option("20", v.whole(0, 51), "constant quality (CRF): 0 lossless, 18 fine, 23 usual, 51 worst")
    speed: str = option(
        "veryfast",
        v.one_of("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"),
        "the encoder's preset: ultrafast to veryslow",
    )
    maxrate: int = option("0", v.size, "most bits a second of the picture, as in 8M; 0: no cap")
    audio: str = option("aac", v.one_of("aac"), "the codec of the sound")
    audio_rate: int = option("128K", v.size, "bits a second of each sound track")
    max_height: int = option("0", v.whole(0, 16384), "scale down to this height; 0: never")
    max_fps: float = option("0", v.rate, "leave out frames above this rate; 0: never")
    deinterlace: bool = option("yes", v.yes_no, "de-interlace what is marked as interlaced, one frame a frame")
    square: bool = option("no", v.yes_no, "resample to square pixels")
    sdr: bool = option("yes", v.yes_no, "tone-map HDR to BT.709")


BUILT_IN_PRESETS: Mapping[str, Mapping[str, str]] = {
    "default": {"quality": "18"},
    "html5": {"quality": "22", "max_height": "1080", "max_fps": "60", "square": "yes"},
    "hls": {"quality": "23", "max_height": "1080", "max_fps": "60", "square": "yes"},
    "classic": {"quality": "22", "max_fps": "15", "audio_rate": "96K", "square": "yes", "speed": "medium"},
}
