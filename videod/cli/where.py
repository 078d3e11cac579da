"""Which environment a command means, and what runs there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from videod import note
from videod.config import ENVIRONMENTS, Config, Settings, find_file, load
from videod.config.ini import salvage
from videod.errors import ConfigError, NotRunning, UsageError
from videod.jobqueue import Connection
from videod.jobqueue.browse import Browse
from videod.logs import visible
from videod.pidfile import Holder, PidFile
from videod.redact import hide


@dataclass(frozen=True)
class Place:
    """One environment here: its settings and what its pidfile shows (None: we may not look).

    `faults` of the ini, for commands that go on all the same; `sure` where they are not about this place.
    """

    settings: Settings
    holder: Holder | None
    faults: tuple[str, ...] = ()
    sure: bool = True

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


def _owner(ini: Config, place: Place) -> str | None:
    """The environment of the daemon that holds this pidfile, by what it noted; None where nobody noted it."""
    if not place.running or not place.holder or not place.holder.pid:
        return None
    paths = [note.place(place.settings, place.holder.pid)]
    for name in ENVIRONMENTS:
        settings = ini.salvaged(name).settings
        paths += [note.place(settings)] if settings.pid_file == place.settings.pid_file else []
    found = (noted for path in paths if (noted := note.read(path)))
    return next((noted.env for noted in found if noted.pid == place.holder.pid), None)


def config(file: str | None) -> Config:
    """The ini."""
    return load(find_file(file))


def place(file: str | None, env: str | None) -> Place:
    """The environment named, else $VIDEOD_ENV, else the one that runs here; NotRunning, UsageError."""
    ini = config(file)
    return _place(ini, env, lambda name: look(ini.settings(name)))


def salvaged(file: str | None, env: str | None) -> Place:
    """The same with an ini that is wrong, which keeps nobody from a daemon that runs; its first fault goes to stderr.

    ConfigError where no daemon is found and the fault may be why.
    """
    ini = salvage(find_file(file))

    def find(name: str) -> Place:
        read = ini.salvaged(name)
        return replace(look(read.settings), faults=read.faults, sure=read.sure)

    here = _place(ini, env, find)
    if here.faults:
        more = f" (and {len(here.faults) - 1} more)" if len(here.faults) > 1 else ""
        print(f"videod: {visible(hide(here.faults[0]))}{more}: mend it, see videod check", file=sys.stderr)
    return here


def _place(ini: Config, env: str | None, find: Callable[[str], Place]) -> Place:
    if named := env or os.environ.get("VIDEOD_ENV"):
        here = find(named)
        other = _owner(ini, here)
        # several environments may share one pidfile: what another runs is not ours to stop
        here = here if other in (None, named) else replace(here, holder=Holder(False, None, False))
        _sure(here)
        return here
    found = [find(name) for name in ENVIRONMENTS]
    running = [place for place in found if place.running and _owner(ini, place) in (None, place.settings.env)]
    if not running:
        for here in found:
            _sure(here)
        raise NotRunning("no daemon runs here: videod start ENV")
    if len(running) > 1:
        names = ", ".join(place.settings.env for place in running)
        raise UsageError(f"several daemons run here: {names}: name one of them")
    return running[0]


def _sure(here: Place) -> None:
    """ConfigError where nothing runs at a place that the ini may name wrongly."""
    if not here.running and not here.sure:
        raise ConfigError(here.faults[0])


def connect(settings: Settings) -> Connection:
    """A connection to the environment's Redis that is known to answer."""
    if settings.redis == "embedded" and not look(settings).running:
        raise NotRunning(f"no daemon runs here: videod start {settings.env}")
    connection = Connection(settings)
    connection.check()
    return connection


def browse(file: str | None, env: str | None) -> tuple[Place, Browse]:
    """The place and its jobs, for the commands that look."""
    here = place(file, env)
    return here, Browse(here.settings, connect(here.settings))
