"""Deliver callbacks: a POST of the final event, tried again with back-off for a day. Holds no slot.

Several go out at once, so that a receiver that hangs does not keep the others from theirs. What is under way
when the daemon ends is tried again by whoever looks next, under the same delivery id.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from videod.backoff import delay_after
from videod.config.settings import Settings
from videod.errors import Failure, RedisAway
from videod.jobqueue.outbox import Letter, Outbox
from videod.redact import hide
from videod.transfer.body import Broken
from videod.transfer.guard import Guard
from videod.transfer.http import Http
from videod.transfer.urls import check_url

AT_ONCE = 4
WAIT_SECONDS = 10.0
# for the whole of a delivery: a receiver that drips a byte now and then is never silent
LONGEST_SECONDS = 30.0
FIRST_DELAY = 10.0
DAY = 86400.0


class Postman:
    """A thread that looks into the outbox when told to, and a few that deliver."""

    def __init__(self, settings: Callable[[], Settings], outbox: Outbox, log: logging.Logger) -> None:
        self._settings, self._outbox, self._log = settings, outbox, log
        self._wake, self._over = threading.Event(), False
        self._free = threading.Semaphore(AT_ONCE)
        self._hands = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="callback")
        self._thread = threading.Thread(target=self._serve, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; deliveries that are under way are left to the next start."""
        self._over = True
        self._wake.set()
        self._thread.join()
        self._hands.shutdown(wait=False, cancel_futures=True)

    def look(self) -> None:
        """Something is due."""
        self._wake.set()

    def _serve(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while not self._over and self._free.acquire(timeout=1.0):
                if not self._one():
                    self._free.release()
                    break
            if self._over:
                return

    def _one(self) -> bool:
        """Hand one letter to a free hand; False when none is due."""
        try:
            lent = self._outbox.lend()
        except RedisAway:
            return False
        if lent is None:
            return False
        self._hands.submit(self._carry, *lent).add_done_callback(lambda _: self._done())
        return True

    def _done(self) -> None:
        self._free.release()
        self._wake.set()

    def _carry(self, member: bytes, letter: Letter, age: float) -> None:
        settings = self._settings()
        why = deliver(letter, settings)
        about = f"callback of job={_job_of(letter)} {letter.event}, delivery {letter.delivery[:8]}"
        try:
            if not why:
                self._outbox.drop(member)
                self._log.info("%s: delivered, try %d", about, letter.tries + 1)
            elif age > DAY:
                self._outbox.drop(member)
                self._log.error("%s: given up after a day and %d tries: %s", about, letter.tries + 1, why)
            else:
                delay = delay_after(letter.tries + 1, FIRST_DELAY)
                self._outbox.postpone(member, letter, delay)
                self._log.warning("%s: %s: again in %.0f s", about, why, delay)
        except RedisAway:  # it is due again soon, and the receiver knows its delivery id
            self._log.warning("%s: %s, but Redis is away: it comes again", about, why or "delivered")


def deliver(letter: Letter, settings: Settings) -> str:
    """One POST; '' when the receiver took it (2xx), else why not, in one line."""
    body = letter.body.encode()
    headers = {
        "Content-Type": "application/json",
        "X-Videod-Event": letter.event,
        "X-Videod-Delivery": letter.delivery,
    }
    if settings.callback_secret:
        headers["X-Videod-Signature"] = sign(body, settings.callback_secret, int(time.time()))
    until = time.monotonic() + LONGEST_SECONDS

    def check() -> None:
        if time.monotonic() > until:
            raise Broken(f"no whole answer within {LONGEST_SECONDS:.0f} s")

    status = 0
    try:
        url = check_url(letter.url)
        with (
            Http(
                Guard.of(settings, private=letter.private),
                proxy=settings.proxy,
                connect=WAIT_SECONDS,
                read=WAIT_SECONDS,
                check=check,
            ) as client,
            client.request("POST", url, headers, body) as response,
        ):
            status = response.status
    except (Broken, Failure) as error:
        if not status:  # else only its body did not come, which says nothing
            return hide(f"{hide(letter.url)}: {error}")
    return "" if 200 <= status < 300 else f"{url.shown} answered {status}"


def sign(body: bytes, secret: str, at: int) -> str:
    """`t=<unix>,v1=<hex HMAC-SHA256 of "t.body">`."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _job_of(letter: Letter) -> str:
    try:
        return str(json.loads(letter.body)["id"])
    except (ValueError, KeyError, TypeError):
        return "?"
