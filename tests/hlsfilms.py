"""HLS videos for tests: a playlist and its segments, as ffmpeg writes them, served by an Origin."""

from __future__ import annotations

from pathlib import Path

from tests import videos
from tests.origin import Origin

PICTURE = (*videos.X264, "-preset", "ultrafast", "-g", "50")
FMP4 = ("-hls_segment_type", "fmp4")
# the clock of MPEG-TS begins anew after 95443.7 seconds
LATE = ("-copyts", "-muxdelay", "0", "-output_ts_offset", "95430")
_LIST = ("-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "-hls_playlist_type", "vod")


def listed(source: Path, folder: Path, *argv: str) -> Path:
    """`source` in segments of two seconds, in a folder of its own."""
    folder.mkdir()
    videos.ffmpeg("-i", str(source), *_LIST, *argv, str(folder / "index.m3u8"))
    return folder


def apart(source: Path, folder: Path, *argv: str) -> Path:
    """The same with the sound in segments of its own, in two languages of which the second is silent."""
    folder.mkdir()
    streams = "v:0,agroup:aud a:0,agroup:aud,language:de,default:yes a:1,agroup:aud,language:en"
    argv = ("-map", "0:v", "-map", "0:a", "-map", "0:a", "-master_pl_name", "index.m3u8", *argv)
    videos.ffmpeg("-i", str(source), *_LIST, *argv, "-var_stream_map", streams, str(folder / "s%v.m3u8"))
    return folder


def joined(folder: Path, out: Path) -> Path:
    """All segments of the picture in one file, in order."""
    playlist = folder / ("s0.m3u8" if (folder / "s0.m3u8").exists() else "index.m3u8")
    lines = playlist.read_text().splitlines()
    head = [line.split('URI="')[1].split('"')[0] for line in lines if line.startswith("#EXT-X-MAP")][:1]
    names = dict.fromkeys([*head, *(line for line in lines if line and not line.startswith("#"))])
    out.write_bytes(b"".join((folder / name).read_bytes() for name in names))
    return out


def serve(origin: Origin, folder: Path, at: str = "/hls") -> str:
    """All files of a folder; the address of the playlist."""
    for path in folder.iterdir():
        origin.put(f"{at}/{path.name}", path.read_bytes())
    return f"{origin.url}{at}/index.m3u8"
