"""Read an HLS playlist (RFC 8216): what it names, each address checked and in one spelling. Nothing is fetched here.

The library m3u8 takes lines and attributes apart. It believes all it is told, so what it sees is bounded before,
and what it says is judged after.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from videod.errors import Encrypted
from videod.transfer.urls import Url, redirected

MARK = b"#EXTM3U"
LARGEST = 8 << 20
MOST_SEGMENTS = 50_000
LONGEST_LINE = 16 << 10
# variants, renditions, keys, maps: the library compares some of them with each other
MOST_OTHERS = 1000
# a segment lasts some seconds: all of them together stay within what a time stamp can tell
MOST_SECONDS = 86_400
_LISTED = frozenset({"#EXTINF", "#EXT-X-BYTERANGE", "#EXT-X-DISCONTINUITY", "#EXT-X-GAP"})
_OTHERS = frozenset({"#EXT-X-KEY", "#EXT-X-MAP", "#EXT-X-STREAM-INF", "#EXT-X-MEDIA"})
_ONCE = frozenset({"#EXTM3U", "#EXT-X-ENDLIST", "#EXT-X-I-FRAMES-ONLY"})
# what changes the meaning of the rest, and is not understood here
_REFUSED = {"#EXT-X-DEFINE": "variables", "#EXT-X-SKIP": "left out segments"}
_RANGE = re.compile(r"([0-9]{1,15})(?:@([0-9]{1,15}))?")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{0,18})?")
_SIZE = re.compile(r"([0-9]{1,6})[xX]([0-9]{1,6})")


class BadPlaylist(ValueError):
    """This is no playlist, or none that is served; the text says why."""


@dataclass(frozen=True)
class Resource:
    """A file of a server, or the bytes from `start` to before `stop` of it."""

    url: Url
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Segment:
    """A piece of the video. `init` comes before it where it needs one; `begin` and `seconds` are what the playlist
    says of its time, from the first segment on; `run` counts the discontinuities before it."""

    at: Resource
    init: Resource | None
    begin: Fraction
    seconds: Fraction
    run: int

    @property
    def end(self) -> Fraction:
        """When it should be over."""
        return self.begin + self.seconds


@dataclass(frozen=True)
class Variant:
    """A video to choose. `codecs` as in the playlist, `pixels` of a picture, 0 where it does not say; `sound` is
    the playlist of its sound where that stands apart."""

    url: Url
    bandwidth: int
    codecs: tuple[str, ...]
    pixels: int
    sound: Url | None


@dataclass(frozen=True)
class Playlist:
    """Either `variants`, of a master playlist, or `segments`."""

    variants: tuple[Variant, ...] = ()
    segments: tuple[Segment, ...] = ()


def is_playlist(url: str) -> bool:
    """Whether the address looks like that of a playlist on the web."""
    parts = urlsplit(url)
    return parts.scheme.lower() in ("http", "https") and parts.path.lower().endswith((".m3u8", ".m3u"))


def begins_playlist(path: Path) -> bool:
    """Whether the file is a playlist by its first bytes."""
    with path.open("rb") as file:
        return _marked(file.read(3 + len(MARK)))


def _marked(data: bytes) -> bool:
    return data.removeprefix(b"\xef\xbb\xbf").startswith(MARK)


def read(data: bytes, base: Url) -> Playlist:
    """The playlist that came from `base`. Raises BadPlaylist, Encrypted, ForbiddenSource for what it names."""
    if not _marked(data):
        raise BadPlaylist("it does not begin as a playlist does")
    text = _kept(data)
    found = _parsed(text)
    try:
        if found["playlists"]:
            return Playlist(variants=_variants(found, base))
        if found["is_i_frames_only"]:
            raise BadPlaylist("it lists key frames alone")
        if not found["is_endlist"]:
            raise BadPlaylist("it has no end (#EXT-X-ENDLIST): live videos are not cut: push it again when it is over")
        return Playlist(segments=_segments(found["segments"], base))
    except (AttributeError, KeyError, TypeError) as error:
        raise BadPlaylist(f"a tag of it lacks something: {type(error).__name__}") from None


def _kept(data: bytes) -> str:
    """The lines that matter, of which the library may see so many."""
    if len(data) > LARGEST:
        raise BadPlaylist(f"it has more than {LARGEST} bytes")
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise BadPlaylist("it is not UTF-8") from None
    kept, listed, others = list[str](), 0, 0
    for line in map(str.strip, lines):
        tag, _, value = line.partition(":")
        if not line or (line.startswith("#") and tag not in _LISTED | _OTHERS | _ONCE | _REFUSED.keys()):
            continue
        if tag == "#EXTINF":
            line = f"{tag}:{value.partition(',')[0]},"  # noqa: PLW2901 - without its title
        if len(line) > LONGEST_LINE or not line.isprintable():
            raise BadPlaylist("a line of it is too long, or has control characters")
        if tag in _REFUSED:
            raise BadPlaylist(f"it has {tag}: {_REFUSED[tag]} are not served")
        if tag == "#EXT-X-KEY" and not re.match(r"METHOD=NONE\s*(,|$)", value):
            raise Encrypted("the segments of the playlist are encrypted")
        if tag == "#EXT-X-KEY":
            continue
        others += tag in _OTHERS
        listed += not line.startswith("#")
        if listed > MOST_SEGMENTS or others > MOST_OTHERS or len(kept) > 5 * MOST_SEGMENTS:
            raise BadPlaylist(f"it has more than {MOST_SEGMENTS} segments, or {MOST_OTHERS} other entries")
        kept.append(line)
    return "\n".join(kept)


def _parsed(text: str) -> dict[str, Any]:
    from m3u8.parser import ParseError, parse

    try:
        found: dict[str, Any] = parse(text)
    except (ParseError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise BadPlaylist(f"it cannot be read: {type(error).__name__}") from None
    return found


def _segments(listed: list[dict[str, Any]], base: Url) -> tuple[Segment, ...]:
    made, begin, run = list[Segment](), Fraction(0), 0
    inits: dict[tuple[str, str], Resource] = {}
    last: Resource | None = None
    for entry in listed:
        run += bool(entry.get("discontinuity")) and bool(made)
        seconds = _seconds(entry["duration"])
        if not entry.get("gap_tag"):  # there is nothing to fetch, and time goes on
            last = _resource(entry["uri"], entry.get("byterange", ""), base, last)
            mapped = entry.get("init_section")
            made.append(Segment(last, _init(mapped, base, inits) if mapped else None, begin, seconds, run))
        begin += seconds
    if not made:
        raise BadPlaylist("it lists no segment")
    return tuple(made)


def _seconds(found: float) -> Fraction:
    # of a float without its noise; infinite ones and numbers with an exponent do not match
    text = f"{found:.6f}"
    if not _SECONDS.fullmatch(text) or float(text) > MOST_SECONDS:
        raise BadPlaylist("a segment lasts longer than can be")
    return Fraction(text)


def _init(entry: Mapping[str, str], base: Url, known: dict[tuple[str, str], Resource]) -> Resource:
    key = entry["uri"], entry.get("byterange", "")
    if key not in known:
        known[key] = _resource(*key, base, None, at=0)
    return known[key]


def _resource(uri: str, span: str, base: Url, last: Resource | None, at: int | None = None) -> Resource:
    url = redirected(base, uri)
    if not span:
        return Resource(url)
    found = _RANGE.fullmatch(span)
    if not found or not int(found[1]):
        raise BadPlaylist("a byte range of it cannot be read")
    if found[2]:
        at = int(found[2])
    elif last and last.stop is not None and last.url.text == url.text:
        at = last.stop
    if at is None:
        raise BadPlaylist("a byte range of it does not say where it begins")
    return Resource(url, at, at + int(found[1]))


def _variants(found: Mapping[str, Any], base: Url) -> tuple[Variant, ...]:
    sounds = _sounds(found["media"], base)
    made = []
    for entry in found["playlists"]:
        info = entry["stream_info"]
        size = _SIZE.fullmatch(info.get("resolution", ""))
        codecs = tuple(name.strip().lower() for name in info.get("codecs", "").split(",") if name.strip())
        url = redirected(base, entry["uri"])
        sound = sounds.get(info.get("audio", ""))
        pixels = int(size[1]) * int(size[2]) if size else 0
        made.append(Variant(url, info.get("bandwidth", 0), codecs, pixels, sound if sound != url else None))
    return tuple(made)


def _sounds(media: list[dict[str, str]], base: Url) -> dict[str, Url | None]:
    """For each group its default sound, else its first: where that is, None: with the picture."""
    chosen: dict[str, dict[str, str]] = {}
    for entry in media:
        group = entry.get("group_id", "")
        default = entry.get("default") == "YES" and chosen.get(group, {}).get("default") != "YES"
        if entry.get("type") == "AUDIO" and group and (default or group not in chosen):
            chosen[group] = entry
    return {group: redirected(base, entry["uri"]) if "uri" in entry else None for group, entry in chosen.items()}
