"""What the tests of videod/transfer stand on: a job's tools, settings from an ini, real servers on loopback."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.origin import Origin, certificates
from videod.cancel import Cancel
from videod.config import Config, Settings
from videod.process import Guardian, Tools


@pytest.fixture(scope="session")
def transfer_guardian() -> Iterator[Guardian]:
    guardian = Guardian("transfer-tests")
    yield guardian
    guardian.close()


@pytest.fixture
def tools(transfer_guardian: Guardian, tmp_path: Path) -> Tools:
    """The tools of a job whose scratch folder is `tmp_path/scratch`."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Tools(transfer_guardian, Cancel(), scratch, stall_timeout=20.0)


def settings_of(tmp_path: Path, sections: dict[str, dict[str, str]] | None = None, **keys: str) -> Settings:
    """Settings as an ini with these keys would give; loopback may be reached."""
    texts = {"state_dir": str(tmp_path / "state"), "allow_hosts": "* 127.0.0.0/8 ::1 localhost", **keys}
    return Config("test.ini", {"dev": texts, **(sections or {})}).settings("dev")


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """(CA, certificate, key) for localhost and 127.0.0.1."""
    return certificates(tmp_path_factory.mktemp("tls"))


class ArgvWatch(threading.Thread):
    """Reads every command line of this machine again and again, as any user could."""

    def __init__(self) -> None:
        super().__init__(name="argv-watch")
        self.seen: set[str] = set()
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    try:
                        with open(f"/proc/{entry}/cmdline", "rb") as file:
                            self.seen.add(file.read().replace(b"\0", b" ").decode("utf-8", "replace"))
                    except OSError:
                        continue

    def stop(self) -> None:
        self._over.set()
        self.join()

    def of(self, tool: str) -> list[str]:
        return [line for line in self.seen if f"{tool} " in line]


@pytest.fixture
def argv_watch() -> Iterator[ArgvWatch]:
    watch = ArgvWatch()
    watch.start()
    yield watch
    watch.stop()


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll until `condition` holds; fails after so long."""
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)
