"""The sample tables of a local MP4, found again from what ffprobe says of it.

ffprobe numbers streams as moov orders its tracks, and shows their times with the edit list applied. That is
checked sample by sample before anything relies on it (`splice`).
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass, replace
from fractions import Fraction

from videod.media.model import Audio, Media
from videod.mp4.boxes import BadMp4
from videod.mp4.entries import child
from videod.mp4.index import load
from videod.mp4.model import Movie, Track


@dataclass(frozen=True)
class Tracks:
    """`video`: the picture's track; `pts`: its display times as ffprobe shows them, in decoding order."""

    path: str
    movie: Movie
    video: Track
    pts: array[int]

    def sound(self, track: Audio) -> Track | None:
        """The track of a sound stream, if it is AAC, whose samples can be copied one by one."""
        found = _numbered(self.movie, track.index, b"soun", Fraction(1, track.sample_rate))
        if found is None or track.codec != "aac" or found.codec != b"mp4a" or found.shift(self.movie.timescale) is None:
            return None
        return found if len(found.samples) and found.descriptions == 1 else None

    def config(self, kind: bytes) -> bytes:
        """The body of avcC or hvcC. Raises BadMp4 where there is none."""
        found = child(self.video.entry, b"vide", kind)
        if found is None:
            raise BadMp4(f"no {kind.decode()} in the sample entry")
        return found


def read_tracks(media: Media, start: Fraction, end: Fraction) -> Tracks:
    """The tables of `media` with at least what is shown in [start, end) seconds of its clock. Raises BadMp4."""
    with open(media.path, "rb", buffering=0) as file:
        number = file.fileno()
        index = load(lambda offset, length: os.pread(number, length, offset), media.size)
        movie = index.span(start, end)
    video = _numbered(movie, media.video.index, b"vide", media.video.time_base)
    if video is None:
        raise BadMp4("the picture's track is not where ffprobe says")
    shift = video.shift(movie.timescale)
    if shift is None or video.descriptions != 1:
        raise BadMp4("an edit list or sample entries of an unusual shape")
    ticks = round(shift * video.timescale)
    return Tracks(media.path, movie, video, array("q", [pts + ticks for pts in video.samples.pts]))


def with_config(entry: bytes, kind: bytes, body: bytes) -> bytes:
    """A sample entry of a picture with another avcC or hvcC. Raises BadMp4 where it has none."""
    old = child(entry, b"vide", kind)
    if old is None:
        raise BadMp4(f"no {kind.decode()} in the sample entry")
    before = (len(old) + 8).to_bytes(4, "big") + kind + old
    made = entry.replace(before, (len(body) + 8).to_bytes(4, "big") + kind + body, 1)
    return len(made).to_bytes(4, "big") + made[4:]


def _numbered(movie: Movie, index: int, handler: bytes, time_base: Fraction) -> Track | None:
    if not 0 <= index < len(movie.tracks):
        return None
    track = movie.tracks[index]
    right = track.handler == handler and not track.encrypted and Fraction(1, track.timescale) == time_base
    return replace(track) if right else None
