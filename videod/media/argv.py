"""The command lines of ffmpeg that make an output: pure, lists, never a shell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from videod.config.presets import Preset
from videod.media import filters
from videod.media.containers import MUXERS, holds_sound, holds_subtitles
from videod.media.model import Audio, Media, Plan, Source, Video
from videod.media.pick import Pick
from videod.media.reading import LOUD, opened

# characters; a thousand tracks may each have a title, and the kernel takes argv up to 2 MB, 128 kB a word
LONGEST_TITLE = 10_000
LONGEST_TAG = 200
MICRO = 1_000_000
# how far behind the last wanted packet others of it may still be stored, seconds
READ_ON = 10
# pixels of a picture above 4K. Each thread of decoder and encoder, and each picture that the encoder looks
# ahead, costs some 5 bytes a pixel: with the usual numbers 8K needs more than memory_per_job
LARGE = 9_000_000
FEW = 5
_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_FASTSTART = "+faststart+negative_cts_offsets"


def encode(source: Source, plan: Plan, preset: Preset, out: Path, *, seek: bool = True, threads: int = 0) -> list[str]:
    """Encode the frames of `plan` and their sound. `seek` False: read from the beginning of the file."""
    media, frames = source.media, source.frames
    threads = _fitting(media.video, threads)
    argv = _start(media, plan.seek if seek else None, threads)
    argv += [
        "-progress",
        "pipe:1",
        "-map",
        f"0:{media.video.index}",
        "-filter:v:0",
        filters.picture(media, frames, plan, preset),
    ]
    for n, track in enumerate(media.audio):
        argv += _sound(track, n, plan, plan.sound, preset)
    argv += _picture_codec(media, preset, threads)
    argv += ["-fps_mode", "passthrough", "-enc_time_base:v:0", _ratio(plan.time_base)]
    return [*argv, *_told(media, media.audio), *_end(preset.container, plan.time_base, out)]


def still(source: Source, plan: Plan, preset: Preset, out: Path, *, seek: bool = True, threads: int = 0) -> list[str]:
    """The first frame of `plan` as a JPEG."""
    media = source.media
    argv = _start(media, plan.seek if seek else None, _fitting(media.video, threads))
    argv += ["-map", f"0:{media.video.index}", "-filter:v:0", filters.picture(media, source.frames, plan, preset)]
    argv += ["-frames:v", "1", "-q:v", "4", "-pix_fmt", "yuvj420p", "-c:v", "mjpeg"]
    return [*argv, "-f", "image2", "-update", "1", f"file:{out}"]


def listing(source: Source, plan: Plan, container: str, *, seek: bool = True) -> list[str]:
    """Print the packets that `copy` with the same arguments will read, the picture's as stream 0."""
    media = source.media
    argv = _copy_start(media, plan, seek=seek, shift=False)
    argv += ["-map", f"0:{media.video.index}"]
    for track in media.audio:
        argv += ["-map", f"0:{track.index}"] if copies(container, track) else []
    argv += ["-c", "copy", "-max_muxing_queue_size", "9999", *_stop(plan, Fraction(0))]
    return [*argv, "-f", "framecrc", "pipe:1"]


def copy(
    source: Source,
    plan: Plan,
    container: str,
    out: Path,
    preset: Preset,
    picks: Mapping[int, Pick],
    *,
    seek: bool = True,
) -> list[str]:
    """Copy the packets of `plan`; sound that `container` cannot hold is encoded as `preset` says.

    `picks`: for the picture (0) and each copied track, in the order of `listing`, which packets to keep.
    """
    media = source.media
    argv = [*_copy_start(media, plan, seek=seek, shift=True), "-progress", "pipe:1"]
    argv += ["-map", f"0:{media.video.index}", "-c:v", "copy", "-bsf:v:0", _only(picks[0])]
    copied = 0
    for n, track in enumerate(media.audio):
        if copies(container, track):
            copied += 1
            argv += ["-map", f"0:{track.index}", f"-c:a:{n}", "copy", f"-bsf:a:{n}", _only(picks[copied])]
        else:
            begin, end = plan.sound
            argv += _sound(track, n, plan, (Fraction(0), None if end is None else end - begin), preset)
    argv += _subtitles(media, plan, container)
    argv += ["-tag:v", "hvc1"] if media.video.codec == "hevc" and container in {"mp4", "mov"} else []
    # ffmpeg 5 calls FLAC in MP4 experimental
    flac = container == "mp4" and any(track.codec == "flac" and not track.silent for track in media.audio)
    argv += ["-strict", "-2"] if flac else []
    argv += _stop(plan, plan.pts[0] * plan.time_base)
    return [*argv, *_told(media, media.audio), *_end(container, plan.time_base, out)]


def sound(media: Media, plan: Plan, preset: Preset, tracks: Sequence[Audio], out: Path) -> list[str]:
    """Encode these sound tracks alone, as MP4."""
    argv = _start(media, plan.seek, 1)
    for n, track in enumerate(tracks):
        argv += _sound(track, n, plan, plan.sound, preset)
    return [*argv, "-max_muxing_queue_size", "9999", "-f", "mp4", f"file:{out}"]


def copies(container: str, track: Audio) -> bool:
    """Whether a sound track is copied into `container`, where nothing is encoded that need not be."""
    return not track.silent and holds_sound(container, track.codec)


def dropped(media: Media, container: str, *, copied: bool) -> tuple[str, ...]:
    """A warning that names the streams which an output leaves out; empty if there are none."""
    kept = set(_kept_subtitles(media, container)) if copied else set()
    names = [f"{other.kind} ({other.codec})" for other in media.others if other.index not in kept]
    return (f"left out: {', '.join(names)}",) if names else ()


def decode(path: str, threads: int = 0, max_pixels: int = 0, *, smooth: bool = True) -> list[str]:
    """Decode all of a file and throw it away. Pictures that are not `smooth` tell of a fault all the same."""
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", LOUD, "-threads", str(threads), *_within(max_pixels)]
    argv += [] if smooth else ["-skip_loop_filter", "all"]
    argv += opened(path)
    return [*argv, "-map", "0:v", "-map", "0:a?", "-fps_mode", "passthrough", "-progress", "pipe:1", "-f", "null", "-"]


def _start(media: Media, seek: Fraction | None, threads: int) -> list[str]:
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", LOUD, "-y"]
    argv += ["-threads", str(threads), *_within(media.max_pixels), "-copyts"]
    if seek is not None:
        # without -noaccurate_seek ffmpeg would drop what lies between its landing and the time asked for
        argv += ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{round(seek * 1_000_000)}us"]
    return [*argv, *opened(media.path)]


def _sound(track: Audio, n: int, plan: Plan, bounds: tuple[Fraction, Fraction | None], preset: Preset) -> list[str]:
    """Encode a track as the n-th of the output; `bounds` on the clock on which it is read."""
    if track.silent:
        chain = f"{filters.silence(track, plan.duration)}[silence{n}]"
        argv = ["-filter_complex", chain, "-map", f"[silence{n}]"]
    else:
        argv = ["-map", f"0:{track.index}", f"-filter:a:{n}", filters.sound(*bounds, track.channels)]
    return [*argv, f"-c:a:{n}", preset.audio, f"-b:a:{n}", str(preset.audio_rate)]


def _within(max_pixels: int) -> list[str]:
    # the header tells the size of the first picture only
    return ["-max_pixels", str(max_pixels)] if max_pixels else []


def _fitting(video: Video, threads: int) -> int:
    """So many threads that their pictures fit into memory."""
    most = max(1, 4 * LARGE // max(1, video.width * video.height))
    return threads if most >= 4 else min(threads or most, most)


def _picture_codec(media: Media, preset: Preset, threads: int) -> list[str]:
    argv = ["-c:v", _ENCODERS[preset.video], "-preset", preset.speed, "-crf", str(preset.quality)]
    argv += ["-threads:v", str(threads)]
    large = media.video.width * media.video.height > LARGE
    argv += ["-rc-lookahead", str(FEW)] if large and preset.video == "h264" else []
    if preset.maxrate:
        argv += ["-maxrate", str(preset.maxrate), "-bufsize", str(2 * preset.maxrate)]
    if preset.video == "hevc":
        ahead = f":rc-lookahead={FEW}" if large else ""
        argv += [
            "-x265-params",
            f"log-level=error{ahead}",
            *(["-tag:v", "hvc1"] if preset.container in {"mp4", "mov"} else []),
        ]
    for name, value in filters.colour_tags(media.video, preset).items():
        argv += [f"-{name}", value]
    return argv


def _copy_start(media: Media, plan: Plan, *, seek: bool, shift: bool) -> list[str]:
    argv = _start(media, plan.seek if seek else None, 0)
    at = argv.index("-protocol_whitelist")
    first = plan.pts[0] * plan.time_base
    if shift:
        # all streams move before anything else sees them: the first wanted frame is at 0 then
        argv[at:at] = ["-itsoffset", f"{round(-first * MICRO)}us"]
    return argv


def _stop(plan: Plan, origin: Fraction) -> list[str]:
    """Read no further than need be; `origin`: what the clock was set back by."""
    if plan.cut == "copy":
        return []
    last = max(plan.after * plan.time_base, plan.sound[1] or Fraction(0)) - origin
    return ["-t", f"{round((last + READ_ON) * MICRO)}us"] if last > -READ_ON else []


def _only(pick: Pick) -> str:
    return f"noise=drop='{pick.drop}'"


def _kept_subtitles(media: Media, container: str) -> list[int]:
    return [
        o.index
        for o in media.others
        if o.kind == "subtitle" and container in MUXERS and container != "nut" and holds_subtitles(container, o.codec)
    ]


def _subtitles(media: Media, plan: Plan, container: str) -> list[str]:
    if plan.cut != "copy":
        return []
    return [word for index in _kept_subtitles(media, container) for word in ("-map", f"0:{index}", "-c:s", "copy")]


def _told(media: Media, tracks: tuple[Audio, ...]) -> list[str]:
    """Title, languages and default track, and nothing else of what the source tells about its maker."""
    argv = ["-map_metadata", "-1", "-map_chapters", "-1"]
    argv += ["-metadata", f"title={media.title[:LONGEST_TITLE]}"] if media.title else []
    argv += ["-metadata:s:v:0", f"language={media.video.language[:LONGEST_TAG]}"] if media.video.language else []
    for n, track in enumerate(tracks):
        argv += [f"-metadata:s:a:{n}", f"language={track.language[:LONGEST_TAG]}"] if track.language else []
        argv += [f"-metadata:s:a:{n}", f"title={track.title[:LONGEST_TAG]}"] if track.title else []
        argv += [f"-disposition:a:{n}", "default" if track.default or len(tracks) == 1 else "0"]
    return argv


def _end(container: str, time_base: Fraction, out: Path) -> list[str]:
    argv = ["-max_muxing_queue_size", "9999"]
    if container in {"mp4", "mov"}:
        argv += ["-movflags", _FASTSTART, "-video_track_timescale", str(time_base.denominator)]
    # NUT knows no times below zero, and decoding times and the sound's first packet are
    argv += ["-output_ts_offset", "10"] if container == "nut" else []
    return [*argv, "-f", MUXERS[container], f"file:{out}"]


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
