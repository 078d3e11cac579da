"""Where callbacks go: a receiver that fails at random, and remembers what it was told."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAILS = 0.2


class Receiver:
    """`delivered`: by job id, how often each delivery id was accepted; `offered` counts all tries."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.reliable = False
        self.lock = threading.Lock()
        self.delivered: dict[str, Counter[str]] = defaultdict(Counter)
        self.ids: dict[str, set[str]] = defaultdict(set)
        self.offered = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/ended"
        threading.Thread(target=self._server.serve_forever, daemon=True, name="receiver").start()

    def answer(self, ident: str, delivery: str) -> int:
        """The status to answer with; 0: hang up. Half of the failures come after the event was taken in."""
        with self.lock:
            self.offered += 1
            self.ids[ident].add(delivery)
            fails = not self.reliable and self._rng.random() < FAILS
            if not fails or self._rng.random() < 0.5:
                self.delivered[ident][delivery] += 1
            return self._rng.choice((500, 0)) if fails else 204

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *what: object) -> None:
            return

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = receiver.answer(json.loads(body)["id"], self.headers["X-Videod-Delivery"])
            if status:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

    return Handler
