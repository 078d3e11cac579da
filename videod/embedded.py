"""A private redis-server below state_dir, for one machine without a Redis of its own.

Its data is kept over restarts: append-only file, written through at every command, so that what was pushed
survives kill -9 and power cuts. It listens on a unix socket only, and ends with the daemon.
"""

from __future__ import annotations

import os
from pathlib import Path

from videod.config.ini import embedded_socket
from videod.config.settings import Settings
from videod.errors import ConfigError
from videod.process import Guardian, Server


def start(settings: Settings, guardian: Guardian) -> Server:
    """Start it; it answers a moment later."""
    folder = Path(embedded_socket(settings)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chmod(folder, 0o700)
        # a socket of a server that was killed would refuse clients until the new one replaces it
        Path(embedded_socket(settings)).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make a folder: {folder}: {error.strerror}: check state_dir") from None
    options = {
        "port": "0",
        "unixsocket": embedded_socket(settings),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(folder / "redis.log"),
        # a title of its own would overwrite the mark in its environment, by which the guardian finds it
        "set-proc-title": "no",
    }
    return Server(
        ["redis-server", *(part for key, value in options.items() for part in (f"--{key}", value))], guardian, folder
    )
