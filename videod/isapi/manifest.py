"""What a recorder had of a span: which parts are covered, which are not, and which file holds what. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from videod.isapi.finding import SEAM, Found

Span = tuple[datetime, datetime]


@dataclass
class Made:
    """One output: the recordings in it, what became of it."""

    found: Sequence[Found]
    url: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    originals: list[dict[str, Any]] = field(default_factory=list)


def manifest(about: dict[str, Any], span: Span, tracks: Iterable[int], made: Sequence[Made]) -> dict[str, Any]:
    """The document; times are those of the recorder's clock, without offset, which `about` tells."""
    channels = []
    for track in tracks:
        own = [one for one in made if one.found[0].track == track]
        covered = merged([(part.start, part.end) for one in own if one.url for part in one.found], span)
        channels.append(
            {
                "track": track,
                "covered": [_told(part) for part in covered],
                "gaps": [_told(part) for part in gaps(covered, span)],
                "files": [_file(one) for one in own],
            }
        )
    return {**about, "asked": _told(span), "channels": channels}


def merged(spans: Iterable[Span], within: Span) -> list[Span]:
    """Spans put together where they touch, cut at the bounds of `within`."""
    made: list[Span] = []
    cut = [(max(start, within[0]), min(end, within[1])) for start, end in spans]
    for start, end in sorted(cut):
        if made and start <= made[-1][1] + SEAM:
            made[-1] = (made[-1][0], max(end, made[-1][1]))
        elif end >= start:
            made.append((start, end))
    return made


def gaps(covered: Sequence[Span], within: Span) -> list[Span]:
    """What lies between."""
    edges = [within[0], *(edge for span in covered for edge in span), within[1]]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(start, end) for start, end in pairs if end - start > SEAM]


def _file(one: Made) -> dict[str, Any]:
    parts = [
        {"from": part.start.isoformat(), "to": part.end.isoformat(), **({"growing": True} if part.growing else {})}
        for part in one.found
    ]
    end = max(part.end for part in one.found)
    more = {"originals": one.originals} if one.originals else {}
    head = {"url": one.url, "from": one.found[0].start.isoformat(), "to": end.isoformat()}
    return {**head, **one.facts, "recordings": parts, **more}


def _told(span: Span) -> dict[str, str]:
    return {"from": span[0].isoformat(), "to": span[1].isoformat()}
