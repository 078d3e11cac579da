"""How ffmpeg and ffprobe open a file: local, of a format that we serve, whatever its name looks like.

A playlist called .mp4 makes ffmpeg read other files of the machine and call internal hosts, and exit 0; the
two whitelists stop that. The formats are those that hold their own data: no playlists, no image patterns.
"""

from __future__ import annotations

from videod.errors import TooBig

FORMATS = "mov,matroska,mpegts,mpeg,avi,flv,asf,gif,ogg,nut"
# formats whose seek lands where the decoder may only find the next key frame
LOOSE = frozenset({"mpegts", "mpeg", "asf", "ogg", "flv", "avi", "gif"})
MOST_LINES = 1000
NOISY = ("[error]", "[fatal]", "[panic]")
# said of each sound video whose open GOP is entered in the middle: the decoder is told to let go of leading
# pictures that it never had. A lost reference makes the decoder say other things, too
HARMLESS = "mmco: unref short failure"
# a reference picture of H.264 is lost; without this the pictures that lean on it pass for good ones. It is
# said at the debug level only, and entering an open GOP causes it, too
GAP = "Frame num gap"
# ... which is two lines a frame
LOUD = "level+debug"
# said by a decoder that was given -max_pixels
TOO_LARGE = "max pixel count"


def opened(path: str) -> list[str]:
    """The options that must stand before the input, and the input, for ffprobe and ffmpeg alike."""
    return ["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i", f"file:{path}"]


class Complaints:
    """Collects what a tool run with `-v level+debug` says that may mean damage."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def check_size(self) -> None:
        """Raise TooBig if a picture was larger than may be."""
        if any(TOO_LARGE in line for line in self.lines):
            raise TooBig("a frame is over max_pixels")

    def take(self, line: str) -> None:
        """One line of its stderr."""
        if "[debug]" in line:
            bad = GAP in line
        else:
            bad = any(mark in line for mark in NOISY) or ("[warning]" in line and "corrupt" in line)
        # the muxer that throws all away rounds times on the way there
        if bad and HARMLESS not in line and not line.startswith("[null @") and len(self.lines) < MOST_LINES:
            self.lines.append(line)
