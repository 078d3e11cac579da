"""What a user expects of each hard file: one table, for `exact` and for `keyframe`.

Nothing here was learnt from videod. The frames of an exact clip follow from how the file was made: those shown
in [start, end), by their numbers. Where the copy of a keyframe clip begins follows from the key frames that the
encoder was told to make.
"""

from __future__ import annotations

from dataclasses import dataclass

MID = (2.3, 4.1)


@dataclass(frozen=True)
class Case:
    """`film`: its maker in films.py or hardfiles.py; `span`: start and end of the clip.

    `exact`: done, or a code. `keyframe`: the number of the key frame with which a copy begins; `encoded` where
    MP4 cannot hold the picture or it has no times, so that the clip is exact and a warning says why; or a code.
    `served` > 0: this part of the file comes over HTTP, and then the connection breaks. `alike` false: the
    picture is meant to look different.
    """

    film: str
    hard: str
    keyframe: int | str
    exact: str = "done"
    span: tuple[float, float] = MID
    served: float = 0.0
    alike: bool = True
    quick: bool = False

    @property
    def name(self) -> str:
        """Unique, fit for an id."""
        return f"{self.film}-{self.span[0]:g}" + ("-served" if self.served else "")


def _refused(film: str, hard: str, code: str, **more: object) -> Case:
    return Case(film, hard, code, code, **more)  # type: ignore[arg-type]


CASES = (
    # easy ones, to compare with
    Case("mp4", "index at the end", 50, quick=True),
    Case("faststart", "index in front", 50),
    Case("ts", "MPEG-TS", 50),
    Case("mkv", "Matroska", 50),
    # time
    Case("vfr", "30, 20, 10 frames a second", 82, span=(3.5, 5.1)),
    Case("slow", "a picture a second", 0),
    Case("slowmo", "240 frames a second", 240, span=(1.3, 2.1)),
    Case("film", "23.976 in milliseconds", 50),
    Case("onekey", "one key frame in all", 0),
    Case("nokey_start", "its first stored picture is no key frame", 50, span=(1.3, 3.1), quick=True),
    Case("opengop", "open GOP", 50),
    Case("opengop_hevc", "open GOP of HEVC", 50),
    Case("edited", "an edit list hides the first 1.48 s", 75, quick=True),
    # MPEG-TS and friends
    Case("glued", "the clock starts again in the middle", 25, span=(7.3, 9.1), quick=True),
    Case("late", "sets in within a GOP and a packet", 75, span=(1.3, 3.1)),
    _refused("bits", "bit errors", "damaged", quick=True),
    _refused("lossy", "each 9th packet of the picture is lost", "damaged"),
    Case("resized", "the picture shrinks in the middle", 100, span=(4.5, 7.1)),
    Case("resized_mp4", "the same in one MP4", 100, span=(4.5, 7.1)),
    Case("interlaced", "MPEG-2 of 25 interlaced", 96, alike=False),
    # picture
    Case("turned", "stored on its side", 50),
    Case("side_silent", "stored on its other side, no sound", 50),
    Case("upside_down", "stored upside down", 50),
    Case("odd", "321x181 in 4:4:4, one key frame", 0),
    Case("pal", "pixels are not square", 50),
    Case("hev1", "HEVC that Apple refuses", 50),
    Case("deep", "H.264 of 10 bit", 50),
    Case("hdr", "HDR10", 50, alike=False),
    Case("fullrange", "MJPEG of full range, PCM", 58),
    Case("alpha", "ProRes 4444 with alpha", "encoded", span=(0.3, 2.1)),
    Case("gif", "animated GIF", "encoded", span=(0.55, 2.05)),
    Case("huge", "8K: just below max_pixels, in 4 GB of memory", 0, span=(0.3, 1.1)),
    _refused("bomb", "0.2 MB, pictures of 8192x8192", "too_big", span=(0, 1)),
    # sound and other streams
    Case("silent", "no sound", 50),
    _refused("cover", "sound with a cover", "not_video"),
    Case("two", "two languages", 50),
    Case("many", "5.1 and stereo, subtitles, a font", 50),
    Case("vp9", "VP9 and Opus", 50),
    Case("webm", "VP8", "encoded"),
    Case("xvid", "MPEG-4 with B frames in AVI, which move each 40th key frame", 42),
    Case("avi", "H.264 with B frames in AVI: no times", "encoded", quick=True),
    Case("wmv", "WMV2 and WMA", "encoded"),
    Case("flv", "FLV1 and MP3", "encoded"),
    # containers that are odd, cut off, wrong
    Case("browser", "recorded by a browser: no length, no index", "encoded"),
    Case("fragments", "fragmented MP4", 50),
    Case("short_fragments", "cut off, within the good part", 0, span=(0.5, 2.0)),
    _refused("short_fragments", "cut off, behind it", "damaged", span=(1.0, 5.5)),
    Case("short_faststart", "cut off, within the good part", 0, span=(0.5, 2.0)),
    _refused("short_faststart", "cut off, behind it", "damaged", span=(1.0, 5.5), quick=True),
    _refused("faststart", "the server breaks off", "fetch_failed", span=(0.5, 2.0), served=0.6),
    _refused("noindex", "cut off before its index", "damaged", quick=True),
    Case("hole", "zeros in the middle, beside the clip", 0, span=(0.1, 0.8)),
    _refused("hole", "zeros in the middle, inside the clip", "damaged", span=(1.0, 5.5), quick=True),
    Case("hik", "a recorder's own head before MPEG-PS, most pictures without time", "encoded"),
    Case("ts_named_mp4", "MPEG-TS named .mp4", 50),
    _refused("html", "a page named .mp4", "not_video"),
    _refused("empty", "no byte", "not_video"),
    Case("one", "one frame", 0, span=(0, 1)),
    Case("ugly_title", "a title of 4 kB with quotes and line ends", 50),
    # hostile
    _refused("hls_concat", "a playlist that joins another file", "not_video"),
    _refused("hls_local", "a playlist that names another video", "not_video", quick=True),
    _refused("hls_call", "a playlist that calls a host", "not_video"),
    _refused("concat", "a concat script", "not_video"),
    Case("ugly_name", "a name that is option, command and pattern", 50),
)
