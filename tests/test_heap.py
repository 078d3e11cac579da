"""What a job leaves behind in memory: nothing that waits for Python to look for cycles, which it seldom does."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import ssl
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import videos
from tests.conftest import RedisServer
from tests.origin import Origin, Page
from tests.transfer_fixtures import settings_of
from videod.attempt import attempt
from videod.cancel import Cancel
from videod.errors import RedisAway
from videod.heap import Sweep
from videod.intake import Order, read
from videod.jobqueue import Connection, Health
from videod.logs import JobLog
from videod.process import Guardian, Tools
from videod.shared import Shared
from videod.transfer import ranges

LOG = logging.Logger("test-heap", logging.CRITICAL + 1)  # of no tree: pytest would keep what is logged


class Cycle:
    """Holds itself."""

    def __init__(self) -> None:
        self.held = self


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    made = Guardian("test-heap")
    yield made
    made.close()


@contextlib.contextmanager
def garbage() -> Iterator[list[object]]:
    """Gets what of videod hung on cycles at the end."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += [one for one in gc.garbage if "videod" in _packages(one)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _packages(one: object) -> list[str]:
    names = (type(one).__module__, getattr(one, "__module__", None))
    return [name.partition(".")[0] for name in names if isinstance(name, str)]


def test_a_clip_leaves_no_cycles(tmp_path: Path, guardian: Guardian) -> None:
    film = videos.encode(videos.make_master(tmp_path / "m.mkv", rate="25", seconds=2.0), tmp_path / "a.mp4")
    settings = settings_of(tmp_path, allow_paths=str(tmp_path), upload=f"file:{tmp_path}/out/", min_free="0")
    shared = Shared.of(lambda: settings)

    def clip(ident: str) -> str:
        message = {"id": ident, "url": str(film), "start": 0.5, "end": 1}
        order = read(json.dumps(message).encode(), None, settings)
        assert isinstance(order, Order)
        log = JobLog(LOG, ident, 1, "clip")
        rooms = (guardian, shared, Cancel(), log)
        return attempt(order, settings, *rooms, lambda *at: None, lambda made: None, lambda: None).state

    assert clip("first") == "done"
    with garbage() as found:
        assert clip("second") == "done"
    assert found == []


def test_a_loss_of_redis_leaves_no_cycles(tmp_path: Path, redis_server: RedisServer) -> None:
    settings = settings_of(tmp_path, redis=redis_server.url)
    connection = Connection(settings, Health(LOG))
    connection.call("PING")
    with garbage() as found:
        redis_server.client().client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(RedisAway):
            connection.call("PING")
    connection.close()
    assert found == []


def test_certificates_go_with_the_connections(
    tmp_path: Path, guardian: Guardian, tls_files: tuple[Path, Path, Path]
) -> None:
    settings = settings_of(tmp_path, {"source localhost": {"ca_file": str(tls_files[0])}})
    with Origin("localhost", tls=tls_files[1:]) as origin:
        url = origin.put("/a.mp4", Page(bytes(2 * ranges.SMALL)))
        gc.collect()
        gc.disable()
        try:
            before = _contexts()
            with ranges.open(url, settings, Tools(guardian, Cancel(), tmp_path)) as remote:
                assert remote.size == 2 * ranges.SMALL and _contexts() > before
            assert _contexts() == before
        finally:
            gc.enable()


def _contexts() -> int:
    return sum(isinstance(one, ssl.SSLContext) for one in gc.get_objects())


def test_old_cycles_are_looked_for_when_it_is_time() -> None:
    one = Cycle()
    gone = weakref.ref(one)
    gc.collect()  # old now
    del one
    gc.collect(0)
    Sweep(3600).look(1)
    Sweep(0).look(0)
    assert gone() is not None
    Sweep(0).look(1)
    assert gone() is None
