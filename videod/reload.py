"""Which settings a running daemon takes up, and which need a restart."""

from __future__ import annotations

import dataclasses

from videod.config.options import options
from videod.config.settings import Settings


def live_names() -> list[str]:
    """The settings that change live; presets and the access to sources, stores and recorders too."""
    return [name for name, option in options(Settings).items() if option.live] + [
        "presets",
        "recorders",
        "sources",
        "storage",
    ]


# what commands read from the ini themselves, and no daemon uses
FOREIGN = ("watch", "web", "secrets_file")


def merged(old: Settings, new: Settings) -> Settings:
    """The old settings with what may change live taken from the new ones."""
    return dataclasses.replace(old, **{name: getattr(new, name) for name in (*live_names(), *FOREIGN)})


def changed(old: Settings, new: Settings) -> list[str]:
    """The names of the settings of a daemon that differ."""
    names = [f.name for f in dataclasses.fields(Settings) if f.name not in FOREIGN]
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def restart_for(old: Settings, new: Settings) -> list[str]:
    """What of it only a restart takes up, as the ini names it."""
    left = [name for name in changed(old, new) if name not in live_names()]
    return ["[keys] import" if name == "import_key" else name for name in left]
