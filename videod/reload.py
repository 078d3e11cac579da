"""Which settings a running daemon takes up, and which need a restart."""

from __future__ import annotations

import dataclasses

from videod.config.settings import Settings, options


def live_names() -> list[str]:
    """The settings that change live; presets and the access to sources, stores and recorders too."""
    return [name for name, option in options(Settings).items() if option.live] + [
        "presets",
        "recorders",
        "sources",
        "storage",
    ]


def merged(old: Settings, new: Settings) -> Settings:
    """The old settings with what may change live taken from the new ones."""
    return dataclasses.replace(old, **{name: getattr(new, name) for name in live_names()})


def changed(old: Settings, new: Settings) -> list[str]:
    """The names of the settings that differ."""
    return [f.name for f in dataclasses.fields(Settings) if getattr(old, f.name) != getattr(new, f.name)]
