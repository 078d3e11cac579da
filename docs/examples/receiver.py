"""Receive videod's callbacks: receiver.py PORT

The key that they are signed with is $CALLBACK_SECRET. Prints each event once. A real receiver remembers
delivery ids in its database, in the transaction that acts on the event.
"""
# ruff: noqa: T201

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OLDEST_SECONDS = 300
MOST_BYTES = 1 << 20
SECRET = os.environ["CALLBACK_SECRET"].encode()
seen = set()


def is_genuine(signature: str, body: bytes) -> bool:
    """Whether `t=…,v1=…` was made with our key over this body, and not long ago."""
    at, _, digest = signature.partition(",v1=")
    at = at.removeprefix("t=")
    expected = hmac.new(SECRET, at.encode() + b"." + body, hashlib.sha256).hexdigest()
    # the signature first: only then is the time to be believed
    return hmac.compare_digest(digest.encode(), expected.encode()) and abs(time.time() - int(at)) < OLDEST_SECONDS


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is genuine, also the second time; 403 to the rest."""

    def do_POST(self) -> None:
        """One callback."""
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(min(size, MOST_BYTES))
        genuine = is_genuine(self.headers.get("X-Videod-Signature", ""), body)
        delivery = self.headers.get("X-Videod-Delivery", "")
        if genuine and delivery not in seen:
            seen.add(delivery)
            print(json.dumps(json.loads(body)), flush=True)
        self.send_response(204 if genuine else 403)
        self.end_headers()

    def log_message(self, *what: object) -> None:
        """Quiet: stdout is for events."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
