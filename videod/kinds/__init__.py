"""What to do: one file a kind, the file's name is the kind's.

A kind has a class `Params` with `read(job, settings)`, which raises BadMessage or another Permanent, and a function
`run(params, ctx)`, which returns its outputs. It sees no Redis, no signal, no thread. Kinds of other
packages are found by the entry point group `videod.kinds`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, cast

from videod.errors import BadMessage

if TYPE_CHECKING:
    from videod.context import Context
    from videod.events import Output


class Kind(Protocol):
    """A module of this package, or one that an entry point names."""

    Params: Any

    def run(self, params: Any, ctx: Context) -> Sequence[Output]:
        """Do it."""


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """The kinds of this package."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


@lru_cache(maxsize=64)
def _plugin(name: str) -> Kind | None:
    # looking through all installed packages takes 5 ms: once for each name
    return next((entry.load() for entry in entry_points(group="videod.kinds", name=name)), None)


def find(name: str) -> Kind:
    """The kind of this name; BadMessage when there is none."""
    if name in names():
        return cast(Kind, importlib.import_module(f"{__name__}.{name}"))
    found = _plugin(name) if re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) else None
    if found is None:
        raise BadMessage(f"'{name}' is none of {', '.join(names())}", field="kind")
    return found
