"""Listen and serve: one process, one loop, until SIGTERM or SIGINT; then it ends within two seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from videod.config.settings import Settings
from videod.config.visitors import IN_THE_CLEAR, is_loopback
from videod.jobqueue import Connection
from videod.web.app import application
from videod.web.listening import Listening
from videod.web.site import Site

# for answers that are under way when the end comes; connections that wait for events are cut
GRACE_SECONDS = 1
# how long the head of a request may take, and how often that is looked at, in tenths of a second
HEAD_SECONDS, LOOK_TICKS = 30.0, 10
# of a connection that is closed, what is left goes out within so long: who reads nothing would hold it for ever
LEFT_SECONDS = 60.0
STOP = (signal.SIGTERM, signal.SIGINT)


class _Server(uvicorn.Server):
    """Ends by our signals with exit code 0, says nothing of its own, and waits for no request for ever."""

    def __init__(self, config: uvicorn.Config, stall: float) -> None:
        super().__init__(config)
        self._patience, self._left = min(HEAD_SECONDS, stall or HEAD_SECONDS), min(LEFT_SECONDS, stall or LEFT_SECONDS)
        # connections that have not sent a whole head, and since when
        self._waiting: dict[Any, float] = {}
        # connections that are closed, how much of their answer is not sent yet, and since when it is as much
        self._leaving: dict[Any, tuple[int, float]] = {}

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % LOOK_TICKS == 0:
            self._end_slow()
        return await super().on_tick(counter)

    def _end_slow(self) -> None:
        """Close what was opened and asks for nothing: uvicorn bounds the time between two requests only."""
        now = time.monotonic()
        waiting = filter(_waits, self.server_state.connections)
        self._waiting = {one: self._waiting.get(one, now) for one in waiting}
        for one, since in self._waiting.items():
            if now - since > self._patience:
                one.transport.close()
        self._end_unread(now)

    def _end_unread(self, now: float) -> None:
        """Closing waits until all is sent, which is for ever where nobody reads."""
        before, self._leaving = self._leaving, {}
        for one in self.server_state.connections:
            if one.transport.is_closing():
                left = one.transport.get_write_buffer_size()
                was, since = before.get(one, (left, now))
                self._leaving[one] = (left, since if left == was else now)
        for one, (_, since) in self._leaving.items():
            if now - since > self._left:
                one.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """What uvicorn would do, it would undo by raising the signal once more."""
        loop = asyncio.get_running_loop()
        for number in STOP:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in STOP:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _waits(connection: Any) -> bool:
    """Whether it is in the middle of a request's head, or before its first byte."""
    cycle = connection.cycle
    return cycle is None or (cycle.response_complete and connection.timeout_keep_alive_task is None)


def serve(settings: Settings, connection: Connection, log: logging.Logger) -> int:
    """Serve until told to stop. VideodError where the address is taken or the folder cannot be written."""
    with Listening(settings.web.listen) as listening:
        site = Site.of(settings, connection, log)
        config = uvicorn.Config(
            application(site),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            # its parser bounds what a head may hold; another would be taken where it is installed
            http="h11",
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=75,
        )
        _quiet()
        log.info("web: serving at %s, videos in %s", settings.web.listen, settings.web.folder)
        if not is_loopback(settings.web.listen):
            log.warning("web: %s: %s", settings.web.listen, IN_THE_CLEAR)
        asyncio.run(_Server(config, settings.stall_timeout).serve(sockets=[listening.socket]))
    log.info("web: stopped")
    return 0


def _quiet() -> None:
    # its lines have another form than ours; faults of ours are logged where they happen
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
