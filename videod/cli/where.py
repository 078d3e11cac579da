"""Which environment a command means, and what runs there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from videod import note
from videod.config import ENVIRONMENTS, Config, Settings, find_file, load
from videod.config.ini import embedded_socket
from videod.errors import NotRunning, UsageError
from videod.jobqueue import Connection
from videod.jobqueue.browse import Browse
from videod.pidfile import Holder, PidFile


@dataclass(frozen=True)
class Place:
    """One environment here: its settings and what its pidfile shows (None: we may not look)."""

    settings: Settings
    holder: Holder | None

    @property
    def running(self) -> bool:
        """Whether a daemon runs."""
        return self.holder is not None and self.holder.held


def look(settings: Settings) -> Place:
    """What runs in an environment."""
    try:
        return Place(settings, PidFile(settings.pid_file).look())
    except OSError:
        return Place(settings, None)


def _is_its(place: Place) -> bool:
    """Whether the daemon that holds the pidfile is of this environment: several may share one pidfile."""
    noted = note.read(place.settings)
    return noted is None or not place.holder or noted.pid != place.holder.pid or noted.env == place.settings.env


def config(file: str | None) -> Config:
    """The ini."""
    return load(find_file(file))


def place(file: str | None, env: str | None) -> Place:
    """The environment named, else $VIDEOD_ENV, else the one that runs here; NotRunning, UsageError."""
    ini = config(file)
    if named := env or os.environ.get("VIDEOD_ENV"):
        return look(ini.settings(named))
    # an environment that is not set up says nothing about the others
    found = [look(ini.settings(name)) for name in ENVIRONMENTS]
    running = [place for place in found if place.running and _is_its(place)]
    if not running:
        raise NotRunning("no daemon runs here: videod start ENV")
    if len(running) > 1:
        names = ", ".join(place.settings.env for place in running)
        raise UsageError(f"several daemons run here: {names}: name one of them")
    return running[0]


def connect(settings: Settings) -> Connection:
    """A connection to the environment's Redis that is known to answer."""
    if settings.redis == "embedded" and not os.path.exists(embedded_socket(settings)):
        raise NotRunning(f"no daemon runs here: videod start {settings.env}")
    connection = Connection(settings)
    connection.check()
    return connection


def browse(file: str | None, env: str | None) -> tuple[Place, Browse]:
    """The place and its jobs, for the commands that look."""
    here = place(file, env)
    return here, Browse(here.settings, connect(here.settings))
