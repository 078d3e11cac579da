"""HLS videos for tests: a playlist and its segments, as ffmpeg writes them, served by an Origin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests import videos
from tests.origin import Origin, Page

# large pictures of little: so that a part is less than the whole
DETAIL = ("-vf", "scale=640:360:flags=neighbor,noise=alls=12:allf=t")
PICTURE = (*videos.X264, "-preset", "ultrafast", "-crf", "32", "-g", "50")


def listed(source: Path, folder: Path, *argv: str, seconds: str = "2") -> Path:
    """`source` in segments, in a folder of its own; the playlist."""
    folder.mkdir()
    out = folder / "index.m3u8"
    videos.ffmpeg("-i", str(source), "-c", "copy", "-f", "hls", "-hls_time", seconds, "-hls_list_size", "0",
                  "-hls_playlist_type", "vod", *argv, str(out))  # fmt: skip
    return out


def joined(playlist: Path, out: Path) -> Path:
    """All segments in one file, in order."""
    lines = playlist.read_text().splitlines()
    head = [line.split('URI="')[1].split('"')[0] for line in lines if line.startswith("#EXT-X-MAP")][:1]
    names = [*head, *(line for line in lines if line and not line.startswith("#"))]
    out.write_bytes(b"".join((playlist.parent / name).read_bytes() for name in names))
    return out


def serve(origin: Origin, folder: Path, at: str = "/hls", page: Page = Page()) -> str:
    """All files of a folder; the address of the playlist."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            origin.put(f"{at}/{path.relative_to(folder)}", replace(page, body=path.read_bytes()))
    return f"{origin.url}{at}/index.m3u8"
