"""Which container holds what: pure tables of the four outputs."""

from __future__ import annotations

MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "ts": "mpegts", "nut": "nut"}

_MP4_PICTURE = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"})
_MP4_SOUND = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac", "dts"})
_PICTURE = {
    "mp4": _MP4_PICTURE,
    "mov": frozenset({"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "prores", "dnxhd", "dvvideo"}),
    "mkv": _MP4_PICTURE | {"vp8", "prores", "ffv1", "theora", "msmpeg4v3", "flv1", "wmv2", "vc1", "dvvideo"},
    "ts": frozenset({"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video"}),
}
_SOUND = {
    "mp4": _MP4_SOUND,
    "mov": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac"}),
    "mkv": _MP4_SOUND | {"vorbis", "truehd", "wmav2", "wmav1", "wmapro"},
    "ts": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "dts", "opus"}),
}
# of the others NUT has no tag, or one that does not lead back to the codec
_NUT_SOUND = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "dts", "opus", "vorbis", "speex"})
_SUBTITLES = {"mkv": frozenset({"subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle"})}
_SUBTITLES |= {"mp4": frozenset({"mov_text"}), "mov": frozenset({"mov_text"}), "ts": frozenset({"dvb_subtitle"})}


def holds_picture(container: str, codec: str) -> bool:
    """Whether a picture of `codec` can be copied into `container`."""
    return container == "nut" or codec in _PICTURE[container]


def holds_sound(container: str, codec: str) -> bool:
    """Whether a sound track of `codec` can be copied into `container`."""
    if codec.startswith("pcm_") and container == "nut":  # our own intermediate files
        return codec not in {"pcm_bluray", "pcm_dvd"}
    if codec.startswith("pcm_"):
        return container == "mkv" or (container == "mov" and codec not in {"pcm_u8", "pcm_bluray", "pcm_dvd"})
    return codec in (_NUT_SOUND if container == "nut" else _SOUND[container])


def holds_subtitles(container: str, codec: str) -> bool:
    """Whether subtitles of `codec` can be copied into `container`."""
    return codec in _SUBTITLES.get(container, ())
