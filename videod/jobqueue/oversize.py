"""Messages that are too large: looked at and ended within Redis, so that no daemon ever holds or repeats one.

100 MB of control characters are 600 MB as JSON: more than a small machine has, and more than Redis keeps in one
value. Such a message could be neither claimed nor ended, and would kill one daemon after the other.
"""

from __future__ import annotations

import json
import logging
import secrets
from typing import Any

from videod.config.settings import Settings
from videod.errors import BadMessage, as_event
from videod.events import Teller, stamp
from videod.jobqueue.connection import Connection, Script
from videod.jobqueue.figures import tally
from videod.jobqueue.names import Names
from videod.logs import JobLog
from videod.message import KEPT_BYTES, MAX_BYTES, MAX_ENVELOPE, READ_BYTES, raw_as_json

BOUNDS = (READ_BYTES, MAX_ENVELOPE)
# for who looks at many
SHOWN = (MAX_BYTES, MAX_ENVELOPE)


class Oversize:
    """Ends what stands in a running list and is too large: record, event `dead`, an entry in the dead list.

    Of the message its beginning is kept. Safe for several threads and nodes: each is ended once.
    """

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings, self._connection = settings, connection
        self._names = Names.of(settings)
        self._look, self._end = Script("oversize"), Script("bury")
        self._log = logging.getLogger("videod")

    def end(self, node: str = "") -> int:
        """All in the running list of a node, ours by default; how many that were."""
        ended = 0
        while found := self._connection.run(self._look, (self._names.running(node),), (*BOUNDS, KEPT_BYTES)):
            ended += self._bury(node, *found)
        return ended

    def _bury(self, node: str, size: int, beginning: bytes) -> bool:
        names, s, ident = self._names, self._settings, secrets.token_hex(16)
        error = BadMessage(f"the message has {size} bytes, more than {MAX_BYTES}: its first {KEPT_BYTES} are kept")
        error.stage = "message"
        told, now = as_event(error), stamp()
        event = Teller(ident, "clip", s.node).event("dead", error=told)
        entry = json.dumps({"id": ident, **raw_as_json(beginning), "bytes": size, "error": told, "at": now})
        log = JobLog(self._log, ident, 1, "clip", s.secret_values)
        record: dict[str, Any] = {"state": "dead", "kind": "clip", "message": beginning, "node": s.node, "attempt": 1}
        record |= {"crashes": 0, "stage": "message", "percent": 0, "taken_at": now, "ended_at": now}
        record |= {"error": json.dumps(told)}
        counted = tally("clip", "dead", error.code)
        counts = (names.counts, names.counts_of(counted.hour))
        keys = (names.running(node), names.job(ident), names.events, names.dead, *counts)
        arguments = [size, beginning, ident, s.events_max, round(s.keep_jobs * 1000), event, entry]
        arguments += [counted.total, counted.recent]
        arguments += [part for pair in record.items() for part in pair]
        ended = bool(self._connection.run(self._end, keys, arguments, durable=True) == b"done")
        if ended:
            log.error(f"{error.code}: {error}")
        return ended
