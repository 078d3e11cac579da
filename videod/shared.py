"""What the jobs of a node share: room on its disk, its encoders, its connections, what was fetched of sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from videod.config.settings import Settings
from videod.connections import Connections
from videod.slots import Slots
from videod.space import Space
from videod.transfer.cache import Cache

# in the folder of the node's scratch folders, whose names all have a dot
CACHE = "cache"


@dataclass(frozen=True)
class Shared:
    """One for each daemon; all of it is safe for several threads."""

    space: Space
    slots: Slots
    cache: Cache
    connections: Connections

    @classmethod
    def of(cls, settings: Callable[[], Settings]) -> Shared:
        """With nothing in it yet."""
        folder = settings()
        cache = Cache(settings, Path(folder.work_dir, folder.node, CACHE))
        return cls(Space(settings, cache.shrink), Slots(settings), cache, Connections(settings))
