"""How ffmpeg and ffprobe open a file: local, of a format that we serve, whatever its name looks like.

A playlist called .mp4 makes ffmpeg read other files of the machine and call internal hosts, and exit 0; the
two whitelists stop that. The formats are those that hold their own data: no playlists, no image patterns.
"""

from __future__ import annotations

FORMATS = "mov,matroska,mpegts,mpeg,avi,flv,asf,gif,ogg,nut"
# formats whose seek lands where the decoder may only find the next key frame
LOOSE = frozenset({"mpegts", "mpeg", "asf", "ogg", "flv", "avi", "gif"})
NOISY = ("[error]", "[fatal]", "[panic]")


def opened(path: str) -> list[str]:
    """The options that must stand before the input, and the input, for ffprobe and ffmpeg alike."""
    return ["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i", f"file:{path}"]


class Complaints:
    """Collects what a tool run with `-v level+warning` says about its input: errors and corrupt packets."""

    def __init__(self, most: int = 20) -> None:
        self.lines: list[str] = []
        self._most = most

    def take(self, line: str) -> None:
        """One line of its stderr."""
        if len(self.lines) < self._most and (any(mark in line for mark in NOISY) or "corrupt" in line):
            self.lines.append(line)
