"""Sums in expressions of ffmpeg, which takes no more than some hundred terms side by side."""

from __future__ import annotations

from collections.abc import Sequence

MOST_TERMS = 50


def total(terms: Sequence[str]) -> str:
    """The sum of all terms, of which there is one at least."""
    if len(terms) <= MOST_TERMS:
        return "+".join(terms)
    half = len(terms) // 2
    return f"({total(terms[:half])})+({total(terms[half:])})"
