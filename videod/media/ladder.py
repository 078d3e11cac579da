"""A video in several sizes for HLS: a player takes the one for which its line is fast enough.

Each rung is one fragmented MP4 and a playlist that names its byte ranges, so that few files have to be uploaded.
All rungs have a key frame at the same times: a player changes between them at each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from videod.config.presets import Preset
from videod.errors import EncodeFailed
from videod.media.bounds import raw_bytes
from videod.media.frames import read_table
from videod.media.model import Media
from videod.media.probe import Bounds, probe
from videod.media.reading import opened
from videod.media.room import check_room
from videod.process import Tools

# heights, and the most bits a second of each
RUNGS = ((1080, 5_000_000), (720, 2_800_000), (480, 1_400_000), (360, 800_000), (240, 400_000))
# of segments
SECONDS = 4
MASTER = "master.m3u8"


@dataclass(frozen=True)
class Rung:
    """One size, in pixels, and the most bits a second."""

    height: int
    rate: int

    @property
    def name(self) -> str:
        """Of its files, without extension."""
        return f"{self.height}p"


def rungs(height: int) -> list[Rung]:
    """The sizes for a video of `height`: its own, and those of the table below it, four at the most."""
    lower = [Rung(*rung) for rung in RUNGS if rung[0] < height]
    rate = next((rate for high, rate in reversed(RUNGS) if high >= height), RUNGS[0][1])
    return [Rung(height, rate), *lower][:4]


def ladder(
    media: Media, frames: int, out: Path, preset: Preset, tools: Tools, settings: Bounds, threads: int,
    on_frame: Callable[[int], None],
) -> list[Path]:  # fmt: skip
    """Encode a finished MP4 into the folder `out`, and give the files: rungs first, the master playlist last.

    `frames`: how many each rung must have; `on_frame` gets how many were encoded. Raises EncodeFailed, DiskFull and
    what Tools.run does.
    """
    steps = rungs(media.video.height)
    out.mkdir()

    def take(line: str) -> None:
        name, _, value = line.partition("=")
        if name == "frame" and value.strip().isdigit():
            on_frame(int(value))

    limits = tools.limits.within(raw_bytes(media.video, frames))
    result = tools.run(_argv(media, steps, out, preset, threads), on_line=take, may_fail=True, limits=limits)
    check_room(result)
    names = [step.name for step in steps] + _apart(media)
    made = [out / f"{name}.{ext}" for name in names for ext in ("mp4", "m3u8")] + [out / MASTER]
    if result.code or not all(path.exists() for path in made):
        raise EncodeFailed("the HLS playlists were not made", detail=result.tail, stage="encode")
    for path in made[: 2 * len(steps) : 2]:
        seen = len(read_table(probe(str(path), tools, settings), tools).pts)
        if seen != frames:
            raise EncodeFailed(f"{path.name} has {seen} frames of {frames}", stage="encode")
    return made


def _apart(media: Media) -> list[str]:
    """The names of sound tracks that get playlists of their own, where there are several; a player offers them."""
    return [f"sound-{n}" for n in range(1, len(media.audio) + 1)] if len(media.audio) > 1 else []


def _argv(media: Media, steps: list[Rung], out: Path, preset: Preset, threads: int) -> list[str]:
    splits = "".join(f"[s{n}]" for n in range(len(steps)))
    chains = [f"[s{n}]scale=-2:{step.height // 2 * 2}[v{n}]" for n, step in enumerate(steps)]
    graph = ";".join([f"[0:{media.video.index}]split={len(steps)}{splits}", *chains])
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "error", "-y", "-threads", str(threads), *opened(media.path)]
    argv += ["-progress", "pipe:1", "-filter_complex", graph]
    apart = _apart(media)
    sound = media.audio[: 0 if apart else 1]
    for n, step in enumerate(steps):
        argv += ["-map", f"[v{n}]", f"-maxrate:v:{n}", str(step.rate), f"-bufsize:v:{n}", str(2 * step.rate)]
        argv += [word for track in sound for word in ("-map", f"0:{track.index}")]
    argv += ["-c:v", "libx264", "-preset", preset.speed, "-crf", str(preset.quality), "-threads:v", str(threads)]
    argv += ["-sc_threshold", "0", "-force_key_frames", f"expr:gte(t,n_forced*{SECONDS})", "-fps_mode", "passthrough"]
    argv += ["-c:a", "copy", "-map_metadata", "-1", "-map_chapters", "-1"]
    beside = [",agroup:sound" if apart else f",a:{n}" if sound else "" for n in range(len(steps))]
    groups = [f"v:{n}{beside[n]},name:{step.name}" for n, step in enumerate(steps)]
    for n, (track, name) in enumerate(zip(media.audio, apart, strict=False)):
        argv += ["-map", f"0:{track.index}"]
        language = f",language:{track.language}" if re.fullmatch(r"[A-Za-z]{2,8}", track.language) else ""
        groups.append(f"a:{n},agroup:sound,name:{name}{language},default:{'yes' if track.default else 'no'}")
    streams = " ".join(groups)
    argv += ["-f", "hls", "-hls_time", str(SECONDS), "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"]
    argv += ["-hls_flags", "single_file+independent_segments", "-master_pl_name", MASTER, "-var_stream_map", streams]
    return [*argv, "-hls_segment_filename", f"{out}/%v.mp4", f"{out}/%v.m3u8"]
