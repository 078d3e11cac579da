"""How a setting is declared: once, with its type, parser, default and one line of prose."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from videod.config import values as v


@dataclass(frozen=True)
class Option:
    """How one setting is read: default as text, parser, prose, whether a reload takes it up."""

    default: str
    parse: v.Parser
    doc: str
    live: bool = False


def option(default: str, parse: v.Parser, doc: str, *, live: bool = False) -> Any:
    """Declare a setting."""
    return field(metadata={"option": Option(default, parse, doc, live)})


def options(section: type) -> dict[str, Option]:
    """The declared options of a section class, in order."""
    return {f.name: f.metadata["option"] for f in dataclasses.fields(section) if "option" in f.metadata}
