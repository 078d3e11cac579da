"""What is in a file: one ffprobe run, turned into `Media`.

The picture is the one that ffmpeg takes: of the moving, not attached pictures the one with the default
disposition, then the largest, then the first.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Protocol

from videod.errors import Damaged, EncodeFailed, Encrypted, NotFound, NotVideo, TooBig
from videod.media.model import Audio, Media, Other, Video
from videod.media.reading import TOO_LARGE, opened
from videod.media.whole import index_is_cut, is_whole, looks_like_video
from videod.process import Tools

_STILL = frozenset({"png", "bmp", "tiff", "webp", "jpeg2000"})
_PACKETS_LOOKED_AT = 8
# tags may be megabytes, of each of a thousand streams, and JSON takes ten times the memory
MOST_SAID = 16 << 20


class Bounds(Protocol):
    """The settings that this room obeys: `max_pixels` of a frame, `max_duration` of a result in seconds."""

    @property
    def max_pixels(self) -> int: ...  # noqa: D102

    @property
    def max_duration(self) -> float: ...  # noqa: D102


def probe(path: str, tools: Tools, settings: Bounds) -> Media:
    """Look at a local file.

    Raises NotVideo (no moving picture, or no format that we serve), Encrypted, Damaged (says that it is a
    video and cannot be read), TooBig (more pixels than `max_pixels`; nothing of it was decoded), NotFound.
    """
    head = _head(path)
    found = _ask(path, tools, settings.max_pixels)
    if isinstance(found, str):
        if looks_like_video(head):
            text = "the file says that it is a video and cannot be read: it may be cut off"
            raise Damaged(text, detail=found, stage="probe")
        raise NotVideo("the file is no video of a format that is served", stage="probe")
    try:
        return _judged(path, found, settings)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        detail = f"{type(error).__name__}: {error}"[:200]
        raise EncodeFailed("ffprobe printed what nobody understands", detail=detail, stage="probe") from error


def _judged(path: str, found: Mapping[str, Any], settings: Bounds) -> Media:
    streams: list[Mapping[str, Any]] = found.get("streams", [])
    chosen = _picture(streams)
    if chosen is None:
        raise NotVideo("the file has no moving picture", stage="probe")
    if _locked(chosen, found):
        raise Encrypted("the video is encrypted", stage="probe")
    video = _video(chosen)
    if settings.max_pixels and video.width * video.height > settings.max_pixels:
        raise TooBig(f"a frame of {video.width}x{video.height} is over max_pixels", stage="probe")
    if not video.width or not video.height:
        raise Damaged("nothing in the file tells the size of the picture", stage="probe")
    media = _media(path, found["format"], streams, video)
    if not media.whole and index_is_cut(path, media.formats):
        raise Damaged("the file breaks off within its index: tracks of it may be missing", stage="probe")
    return replace(media, max_pixels=settings.max_pixels)


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise NotFound(f"{os.path.basename(path)}: {error.strerror}", stage="probe") from error
    if not head:
        raise NotVideo("the file is empty", stage="probe")
    return head


def _ask(path: str, tools: Tools, max_pixels: int) -> dict[str, Any] | str:
    """What ffprobe found; where it could not read the file, what it said."""
    # max_pixels: ffprobe itself decodes a frame or two where the header leaves something open
    argv = ["ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams"]
    argv += ["-show_entries", "packet=stream_index:packet_side_data", "-read_intervals", f"%+#{_PACKETS_LOOKED_AT}"]
    argv += ["-max_pixels", str(max_pixels)] if max_pixels else []
    result = tools.run([*argv, *opened(path)], may_fail=True, output_max=MOST_SAID)
    if TOO_LARGE in result.tail:
        raise TooBig("a frame is over max_pixels", stage="probe")
    if result.code:
        return f"ffprobe ended with exit code {result.code}: {result.tail}"
    try:
        found = json.loads(result.stdout)
    except ValueError as error:
        raise EncodeFailed("ffprobe printed no JSON", detail=result.tail, stage="probe") from error
    return found if isinstance(found, dict) and "format" in found else "ffprobe found no format"


def _picture(streams: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    moving = [s for s in streams if s.get("codec_type") == "video" and not _still(s)]

    def rank(stream: Mapping[str, Any]) -> tuple[int, int, int]:
        area = _whole(stream.get("width")) * _whole(stream.get("height"))
        return stream.get("disposition", {}).get("default", 0), area, -_whole(stream.get("index"))

    return max(moving, key=rank, default=None)


def _still(stream: Mapping[str, Any]) -> bool:
    disposition = stream.get("disposition", {})
    return bool(disposition.get("attached_pic")) or stream.get("codec_name") in _STILL


def _locked(stream: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    if stream.get("codec_tag_string") in {"encv", "drmi"}:
        return True
    packets = found.get("packets", [])
    data = [side for packet in packets for side in packet.get("side_data_list", [])]
    return any(str(side.get("side_data_type", "")).startswith("Encryption") for side in data)


def _media(path: str, about: Mapping[str, Any], streams: Sequence[Mapping[str, Any]], video: Video) -> Media:
    audio = tuple(_audio(s) for s in streams if _sounds(s))
    known = {video.index, *(track.index for track in audio)}
    others = tuple(_other(s) for s in streams if s.get("index") not in known)
    formats = tuple(str(about.get("format_name", "")).split(","))
    size = _whole(about.get("size"))
    title = _tag(about, "title")
    whole = is_whole(path, formats)
    return Media(path, formats, size, video, audio, others, _seconds(about.get("duration")), title, whole)


def _video(s: Mapping[str, Any]) -> Video:
    return Video(
        index=_whole(s["index"]),
        codec=str(s.get("codec_name", "unknown")),
        width=_whole(s.get("width")),
        height=_whole(s.get("height")),
        time_base=_ratio(s.get("time_base"), "/") or Fraction(1, 90000),
        profile=str(s.get("profile", "")),
        level=_whole(s.get("level")),
        tag=str(s.get("codec_tag_string", "")),
        pix_fmt=str(s.get("pix_fmt", "")),
        sar=_ratio(s.get("sample_aspect_ratio"), ":") or Fraction(1),
        rotation=_rotation(s),
        field_order=str(s.get("field_order", "")),
        color_range=_known(s.get("color_range")),
        color_space=_known(s.get("color_space")),
        color_transfer=_known(s.get("color_transfer")),
        color_primaries=_known(s.get("color_primaries")),
        rate=_ratio(s.get("r_frame_rate"), "/") or _ratio(s.get("avg_frame_rate"), "/"),
        start=s.get("start_pts"),
        promised=_whole(s.get("nb_frames")) or None,
        delay=_whole(s.get("has_b_frames")),
        language=_tag(s, "language"),
    )


def _sounds(stream: Mapping[str, Any]) -> bool:
    codec = stream.get("codec_name", "unknown")
    known = codec not in {"unknown", "none"} and _whole(stream.get("sample_rate")) and _whole(stream.get("channels"))
    return stream.get("codec_type") == "audio" and bool(known)


def _audio(s: Mapping[str, Any]) -> Audio:
    rate = _whole(s["sample_rate"])
    base = _ratio(s.get("time_base"), "/") or Fraction(1, rate)
    default = bool(s.get("disposition", {}).get("default"))
    return Audio(
        _whole(s["index"]), s["codec_name"], rate, s["channels"], base, _tag(s, "language"), _tag(s, "title"), default
    )


def _other(s: Mapping[str, Any]) -> Other:
    kind = "cover" if s.get("codec_type") == "video" and _still(s) else str(s.get("codec_type", "data"))
    return Other(_whole(s.get("index")), kind, str(s.get("codec_name", "unknown")))


def _rotation(stream: Mapping[str, Any]) -> int:
    for side in stream.get("side_data_list", []):
        if "rotation" in side:
            # nearest right angle: players turn by these only
            return {0: 0, 1: 90, 2: 180, 3: -90}[round(float(side["rotation"]) / 90) % 4]
    return 0


def _tag(of: Mapping[str, Any], name: str) -> str:
    tags = {str(key).lower(): str(value) for key, value in of.get("tags", {}).items()}
    text = tags.get(name, "").replace("\0", "")
    return "" if name == "language" and text == "und" else text


def _known(value: object) -> str:
    return "" if value in {None, "unknown", "unspecified", "reserved"} else str(value)


def _whole(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0


def _ratio(value: object, sign: str) -> Fraction:
    above, _, below = str(value).partition(sign)
    return Fraction(_whole(above), _whole(below)) if _whole(below) else Fraction(0)


def _seconds(value: object) -> Fraction | None:
    # no exponent: Fraction would write out all its zeros
    return Fraction(str(value)) if re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", str(value)) else None
