"""What of a source goes into an output: which tracks sound, the packets to copy."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from videod.media import argv, pick
from videod.media.model import Audio, Plan, Source
from videod.media.sound import Span, sounding
from videod.process import Tools


def audible(source: Source, plan: Plan, tools: Tools) -> tuple[Source, list[Span]]:
    """The source with the tracks marked that are silent in the plan's part, and where each track sounds in the output.

    No muxer writes a track without packets in a way that players take well: a silent one becomes encoded silence.
    """
    heard = sounding(source.media, *plan.sound, tools)
    tracks = tuple(replace(track, silent=track.index not in heard) for track in source.media.audio)
    quiet = Span(Fraction(0), plan.duration)
    spans = [_encoded(quiet, track) if track.silent else heard[track.index] for track in tracks]
    return replace(source, media=replace(source.media, audio=tracks)), spans


def prepare(
    source: Source, plan: Plan, container: str, spans: list[Span], tools: Tools, *, seek: bool
) -> tuple[dict[int, pick.Pick], list[Span]] | None:
    """Which packets of the picture and of each copied track to keep, and where the tracks then sound.

    None if the plan's frames cannot all be found, each once.
    """
    listing = pick.Listing()
    tools.run(argv.listing(source, plan, container, seek=seek), on_line=listing.add, may_fail=True)
    chosen = pick.picture(listing, plan)
    if chosen is None:
        return None
    picks, sounds = {0: chosen}, []
    for track, span in zip(source.media.audio, spans, strict=True):
        if not argv.copies(container, track):
            sounds.append(_encoded(span, track))
            continue
        found = pick.sound(listing, len(picks), plan.sound)
        if found is None:
            return None
        picks[len(picks)], heard = found
        sounds.append(heard)
    return picks, sounds


def _encoded(span: Span, track: Audio) -> Span:
    """An encoded track starts at once: what it lacks is filled with silence."""
    return replace(span, first=Fraction(0), longest=max(span.longest, Fraction(1024, track.sample_rate)))
