"""Take the address that is served: a port, or a unix socket, of which several processes may want the same."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator

from videod.config.values import host_port
from videod.errors import VideodError

BACKLOG = 512
# whoever else begins to listen in this folder takes no longer; a stranger's lock must not hold us up for ever
LOCK_SECONDS, LOOK_SECONDS = 5.0, 0.05
NO_SOCKET = "a file that is no socket stands there"


class Listening:
    """An address that is ours as long as the context lasts; `socket` listens from the beginning."""

    def __init__(self, address: str) -> None:
        """VideodError where it cannot be had."""
        self._path = address.removeprefix("unix:") if address.startswith("unix:") else ""
        try:
            self.socket = _unix(self._path) if self._path else _tcp(*host_port(address))
            self._ours = _identity(self._path) if self._path else None
        except OSError as error:
            why = "another program listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise VideodError(f"cannot listen: {address}: {why}: choose another with --listen") from None

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        # what another has put there since is theirs
        with contextlib.suppress(OSError):
            if self._ours and self._ours == _identity(self._path):
                os.unlink(self._path)


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _tcp(host: str, port: int) -> socket.socket:
    family, kind, proto, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with _closed_on_failure(socket.socket(family, kind, proto)) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
        # at once: two may bind the same port until one of them listens
        made.listen(BACKLOG)
    return made


def _unix(path: str) -> socket.socket:
    with _locked(os.path.dirname(path)):
        _clear(path)
        with _closed_on_failure(socket.socket(socket.AF_UNIX)) as made:
            before = os.umask(0o117)
            try:
                made.bind(path)
            finally:
                os.umask(before)
            made.listen(BACKLOG)
    return made


def _clear(path: str) -> None:
    """Take away the socket that a killed process left. OSError for anything else that stands there."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, NO_SOCKET)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as asked:
        asked.setblocking(False)  # where its backlog is full, somebody listens
        try:
            asked.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Alone in this folder: between bind and listen a socket looks like one that a killed process left."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise OSError(errno.EWOULDBLOCK, "another program holds a lock on the folder") from None
            time.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _closed_on_failure(made: socket.socket) -> Iterator[socket.socket]:
    try:
        yield made
    except OSError:
        made.close()
        raise
