"""The filter chains of an encode: pure text.

Frames are chosen by their integer time stamps, not by number or by seconds: such a filter has no memory,
so it stays right when ffmpeg rebuilds the chain because the picture's size changes.
"""

from __future__ import annotations

from array import array
from fractions import Fraction
from math import floor

from videod.config.presets import Preset
from videod.media.model import Audio, Frames, Media, Plan, Video
from videod.media.sums import total

# a time stamp this close below a slot of max_fps belongs to it: stamps are rounded
SLACK = Fraction(1, 1000)


def picture(media: Media, frames: Frames, plan: Plan, preset: Preset) -> str:
    """The chain from decoded frames to what the encoder gets; first frame at 0."""
    video = media.video
    first, stop = plan.pts[0], plan.pts[-1] + 1
    later = "+" + total([f"gte(N,{n})*({ticks})" for n, ticks in frames.leaps]) if frames.leaps else ""
    chain = [f"setpts='{frames.pts[0]}+N*{frames.step}{later}'"] if frames.step is not None else []
    # counted frames have their own clock, finer than the stream's where its ticks do not fit
    fine = frames.time_base != video.time_base
    chain[:0] = [f"settb={_ratio(frames.time_base)}"] if fine else []
    chain += [f"trim=start_pts={first}:end_pts={stop}", f"setpts=PTS-{first}"]
    if keep := slots(plan, preset):
        slot = f"floor(pts*{_ratio(keep)}+{_ratio(SLACK)})"
        chain.append(f"select='isnan(prev_pts)+gt({slot},{slot.replace('pts', 'prev_pts')})'")
    # it holds a frame back, which is lost when the chain is rebuilt: only where it may have work to do
    if preset.deinterlace and video.field_order != "progressive":
        chain.append("bwdif=mode=send_frame:parity=auto:deint=interlaced")
    # ffmpeg turns the picture itself, but for a straightened copy: that has lost the display matrix
    chain += _turn(video.rotation) if media.formats == ("nut",) else []
    chain += _size(video, preset) + _colour(video, preset)
    return ",".join(chain)


def slots(plan: Plan, preset: Preset) -> Fraction | None:
    """Slots a tick if frames have to be left out for `max_fps`: the first frame of each slot stays."""
    span = (plan.pts[-1] - plan.pts[0]) * plan.time_base
    most = Fraction(repr(preset.max_fps))
    # stamps in milliseconds make 60 fps look like 62 here and 58 there: the mean tells
    if not most or not span or (plan.count - 1) / span <= most * Fraction(101, 100):
        return None
    return most * plan.time_base


def kept(plan: Plan, preset: Preset) -> array[int]:
    """The wanted frames that `max_fps` leaves; the same rule as the filter's."""
    keep = slots(plan, preset)
    if keep is None:
        return plan.pts
    left, before = array("q"), None
    for pts in plan.pts:
        slot = floor((pts - plan.pts[0]) * keep + SLACK)
        if before is None or slot > before:
            left.append(pts)
        before = slot
    return left


def sound(begin: Fraction, end: Fraction | None, channels: int) -> str:
    """The chain of a sound track: cut to the sample, gaps and a late begin filled with silence."""
    trim = f"atrim=start={_decimal(begin)}" + ("" if end is None else f":end={_decimal(end)}")
    # some decoders (Speex, TTA) name no layout, and encoders want one
    layout = {1: ",aformat=channel_layouts=mono", 2: ",aformat=channel_layouts=stereo"}.get(channels, "")
    return f"{trim},asetpts=PTS-({_ratio(begin)})/TB,aresample=async=1:min_hard_comp=0.02:first_pts=0{layout}"


def silence(track: Audio, lasts: Fraction) -> str:
    """A source of silence in place of a track."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}.get(track.channels, "stereo")
    # a header may claim a billion
    rate = track.sample_rate if 8000 <= track.sample_rate <= 96_000 else 48_000
    return f"anullsrc=channel_layout={layout}:sample_rate={rate},atrim=end={_decimal(lasts)}"


def upright(video: Video) -> tuple[int, int]:
    """Width and height as a player turns it."""
    return (video.height, video.width) if video.turned else (video.width, video.height)


def target(video: Video, preset: Preset) -> tuple[int, int]:
    """Width and height of the encoded picture: upright, even, within max_height."""
    width, height = upright(video)
    if scaled(video, preset):
        sar = 1 / video.sar if video.turned else video.sar
        wide = Fraction(width) * (sar if preset.square else 1)
        high = min(height, preset.max_height or height)
        width, height = round(wide * high / height), high
    return max(2, width // 2 * 2), max(2, height // 2 * 2)


def tone_mapped(video: Video, preset: Preset) -> bool:
    """Whether HDR is turned into BT.709."""
    return video.hdr and preset.sdr


def pixels(video: Video, preset: Preset) -> str:
    """The pixel format to encode: 4:2:0, 8 bit but for HEVC of a deeper source."""
    deep = any(mark in video.pix_fmt for mark in ("10le", "12le", "16le", "p010", "10be", "12be"))
    return "yuv420p10le" if preset.video == "hevc" and deep and not tone_mapped(video, preset) else "yuv420p"


def scaled(video: Video, preset: Preset) -> bool:
    """Whether the preset asks for another size than the source's."""
    return bool(preset.max_height and upright(video)[1] > preset.max_height) or (preset.square and video.sar != 1)


def _turn(rotation: int) -> list[str]:
    return {0: [], 90: ["transpose=cclock"], -90: ["transpose=clock"], 180: ["hflip", "vflip"]}[rotation]


def _size(video: Video, preset: Preset) -> list[str]:
    if scaled(video, preset):
        width, height = target(video, preset)
        return [f"scale={width}:{height}", *(["setsar=1"] if preset.square else [])]
    # an odd line is cut off, not scaled away: resampling would soften the whole picture
    return ["crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0"] if upright(video) != target(video, preset) else []


def _colour(video: Video, preset: Preset) -> list[str]:
    form = pixels(video, preset)
    if tone_mapped(video, preset):
        given = f"tin={video.color_transfer}:pin=bt2020:min={_matrix(video)}"
        return [
            f"zscale={given}:t=linear:npl=100",
            "format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0",
            f"zscale=t=bt709:m=bt709:r=limited,format={form}",
        ]
    if video.color_range == "pc" and not _is_rgb(video):
        return [f"scale=in_range=full:out_range=full,format={form}"]
    if _is_rgb(video):
        return [f"scale=out_color_matrix=bt709:out_range=limited,format={form}"]
    return [f"format={form}"]


def colour_tags(video: Video, preset: Preset) -> dict[str, str]:
    """How the encoded colours are to be read: option of ffmpeg → value."""
    if tone_mapped(video, preset) or _is_rgb(video):
        return {"color_range": "tv", "colorspace": "bt709", "color_trc": "bt709", "color_primaries": "bt709"}
    tags = {
        "color_range": video.color_range,
        "colorspace": video.color_space,
        "color_trc": video.color_transfer,
        "color_primaries": video.color_primaries,
    }
    return {name: value for name, value in tags.items() if value}


def _matrix(video: Video) -> str:
    return "bt2020c" if video.color_space == "bt2020c" else "bt2020nc"


def _is_rgb(video: Video) -> bool:
    return video.color_space == "gbr" or video.pix_fmt.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "pal8", "0rgb"))


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _decimal(seconds: Fraction) -> str:
    # ffmpeg reads such times to the microsecond
    return f"{round(seconds * 1_000_000)}us"
