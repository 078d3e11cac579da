"""A video that an HLS playlist lists: its streams, of which the segments are fetched that somebody wants.

    with hls.open(url, folder, settings, tools) as video:
        video.picture.fetch(range(3, 7))
        video.picture.join(range(3, 7), path)

A playlist is text of a stranger. Each address in it is resolved against where the playlist came from in the end,
and asked for as any source is.
"""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from videod.config import Settings
from videod.errors import NotVideo, TooBig
from videod.process import Tools
from videod.transfer.answers import Hops
from videod.transfer.bodies import Bodies
from videod.transfer.cache import Cache
from videod.transfer.landing import FULL, disk_full
from videod.transfer.parts import Refused
from videod.transfer.playlist import LARGEST, BadPlaylist, Playlist, Resource, Segment, Variant, read
from videod.transfer.urls import check_url

# by the first part of their names in CODECS (RFC 6381)
_PICTURES = frozenset({"avc1", "avc3", "hvc1", "hev1", "av01", "vp08", "vp09", "mp4v", "mp2v"})


class Mixed(ValueError):
    """These segments cannot be joined; the text says why."""


def open(
    url: str,
    folder: Path,
    settings: Settings,
    tools: Tools,
    *,
    private: bool = True,
    on_bytes: Callable[[int], None] = lambda number: None,
    cache: Cache | None = None,
) -> Video:
    """Read the playlist at `url` and those that it leads to; segments will be put into `folder`, by way of `cache`.
    `on_bytes` gets the bytes of bodies as they come.

    Raises NotVideo (no playlist, a live one, or one of a shape that is not served), Encrypted, TooBig,
    ForbiddenSource, NotFound, Denied, FetchFailed, Stalled, TimedOut, Cancelled.
    """
    bodies = Bodies(settings, tools, private, on_bytes, cache)
    try:
        return _opened(bodies, Hops(check_url(url)), settings, _Place(folder, tools))
    except BaseException:
        bodies.close()
        raise


@dataclass(frozen=True)
class _Place:
    """Where segments are put, and the tools of the job."""

    folder: Path
    tools: Tools


def _opened(bodies: Bodies, way: Hops, settings: Settings, place: _Place) -> Video:
    found, end = _read(bodies, way)
    if not found.variants:
        return Video(bodies, Stream(bodies, place, found.segments, end, "picture"), None)
    chosen = choose(found.variants, settings.max_pixels)
    picture = _stream(bodies, place, Hops(chosen.url, end.secure), "picture")
    sound = _stream(bodies, place, Hops(chosen.sound, end.secure), "sound") if chosen.sound else None
    return Video(bodies, picture, sound)


def _stream(bodies: Bodies, place: _Place, way: Hops, name: str) -> Stream:
    found, end = _read(bodies, way)
    if found.variants:
        raise NotVideo(f"the playlist leads to a playlist of playlists: {way.url.shown}", stage="fetch")
    return Stream(bodies, place, found.segments, end, name)


def _read(bodies: Bodies, way: Hops) -> tuple[Playlist, Hops]:
    try:
        data, end = bodies.text(way, LARGEST)
        return read(data, end.url), end
    except (Refused, BadPlaylist) as why:
        raise NotVideo(f"the playlist is not served: {way.url.shown}: {why}", stage="fetch") from None


def choose(variants: Sequence[Variant], max_pixels: int) -> Variant:
    """The best that can be decoded: the one of the highest bandwidth, of those the largest. NotVideo, TooBig."""
    shown = [v for v in variants if not v.codecs or any(c.partition(".")[0] in _PICTURES for c in v.codecs)]
    if not shown:
        raise NotVideo("the playlist offers no picture of a format that is served", stage="fetch")
    fitting = [v for v in shown if not max_pixels or v.pixels <= max_pixels]
    if not fitting:
        raise TooBig("all that the playlist offers is over max_pixels", stage="fetch")
    return max(fitting, key=lambda v: (v.bandwidth, v.pixels))


class Video:
    """The streams of a playlist: `picture`, with the sound unless `sound` is apart. Close it after use."""

    def __init__(self, bodies: Bodies, picture: Stream, sound: Stream | None) -> None:
        self._bodies = bodies
        self.picture, self.sound = picture, sound

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and remove the files of segments."""
        self._bodies.close()
        for stream in filter(None, (self.picture, self.sound)):
            stream.clear()

    @property
    def url(self) -> str:
        """Where the list of segments came from in the end, fit to be shown."""
        return self.picture.url

    @property
    def fetched(self) -> int:
        """The bodies received, tries included."""
        return self._bodies.fetched


class Stream:
    """The segments of one playlist, and files of those that were fetched."""

    def __init__(self, bodies: Bodies, place: _Place, segments: Sequence[Segment], end: Hops, name: str) -> None:
        self.segments = segments
        self.url = end.url.shown
        self._bodies, self._place, self._secure, self._name = bodies, place, end.secure, name
        self._files: dict[Resource, Path] = {}
        self._largest = 0

    def around(self, start: Fraction, end: Fraction | None) -> range:
        """The segments of [start, end) seconds as the playlist counts, and one more on both sides."""
        count = len(self.segments)
        low = bisect_right(self.segments, start, key=lambda segment: segment.begin) - 2
        if end is None:
            return range(max(0, min(low, count - 2)), count)
        high = bisect_right(self.segments, end, key=lambda segment: segment.begin) + 1
        return range(max(0, min(low, count - 2)), min(count, high))

    def fetch(self, wanted: Iterable[int], on_progress: Callable[[float], None] = lambda part: None) -> None:
        """Bring these segments, and what has to come before them; those that are there cost nothing.

        `on_progress` gets 0.0 to 1.0. Raises as `open`, and DiskFull, NoRoom.
        """
        found = [self.segments[n] for n in wanted]
        needed = dict.fromkeys(at for one in found for at in (one.init, one.at) if at and at not in self._files)
        number = len(self._files)
        new = [(at, self._place.folder / f"{self._name}-{number + n}.segment") for n, at in enumerate(needed)]
        # nobody tells how large they are: the largest so far is the best guess
        if self._place.tools.room and new:
            self._place.tools.room.wait(self._bodies.kept + len(new) * self._largest)
        self._files.update(new)
        total = len(new) or 1
        self._bodies.bring(new, self._secure, lambda done: on_progress(done / total))
        self._largest = max([self._largest, *(path.stat().st_size for _, path in new)])

    def head(self, number: int) -> bytes:
        """The first bytes of a segment that was fetched."""
        with self._files[self.segments[number].at].open("rb") as file:
            return file.read(1024)

    def join(self, wanted: Iterable[int], out: Path, *, last: bool = False) -> None:
        """Write these segments, which were fetched, into one file. `last`: their own files go.

        Raises Mixed where what comes before them changes in the middle of an MP4, TooBig, DiskFull, NoRoom.
        """
        found = [self.segments[n] for n in wanted]
        # a segment may be listed many thousand times
        self._bodies.check_size(sum(self._files[segment.at].stat().st_size for segment in found))
        uses = Counter(segment.at for segment in found)
        before: Resource | None = None
        try:
            with out.open("wb") as file:
                for segment in found:
                    if segment.init and segment.init != before:
                        if before:
                            self._check_mixed(before)
                        self._append(segment.init, file)
                        before = segment.init
                    self._append(segment.at, file)
                    uses[segment.at] -= 1
                    if last and not uses[segment.at]:
                        self._files.pop(segment.at).unlink()
        except OSError as error:
            if error.errno in FULL:
                raise disk_full(out) from None
            raise

    def _append(self, at: Resource, file: BinaryIO) -> None:
        self._place.tools.check()
        with self._files[at].open("rb") as source:
            shutil.copyfileobj(source, file, 1 << 20)

    def _check_mixed(self, at: Resource) -> None:
        with self._files[at].open("rb") as file:
            if file.read(1) != b"G":
                raise Mixed("the playlist changes what its segments begin with (#EXT-X-MAP)")

    def clear(self) -> None:
        """Remove the files."""
        for path in self._files.values():
            path.unlink(missing_ok=True)
        self._files.clear()
