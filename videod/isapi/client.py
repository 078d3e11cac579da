"""Ask a recorder: each request with a login that it accepts, or none at all.

A login that is refused is final: five wrong tries lock an account, and people out with us. So what a recorder answers
401 to is never asked again, but where it says itself that the nonce was stale. Nonces are used for NONCE_SECONDS,
since some recorders do not say that theirs has run out.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from videod.config import Settings
from videod.config.recorders import Place
from videod.errors import Denied, Failure, FetchFailed, NotFound, Stalled
from videod.isapi.clock import Clock, clock_of, written
from videod.isapi.digest import Login, Unanswerable, challenge_of
from videod.isapi.document import MOST_BYTES, Node, Unreadable, document, element, leaf, left, parse, said
from videod.isapi.finding import PAGE, Found, Page, find, page_of
from videod.process import Tools
from videod.transfer.body import Broken, Silent, pieces
from videod.transfer.guard import Guard
from videod.transfer.http import REDIRECTS, Http
from videod.transfer.urls import Url, check_url

if TYPE_CHECKING:
    from videod.transfer.response import Response

NONCE_SECONDS = 30.0
# a recorder that always says stale must not be tried until it locks the account
MOST_STALE = 2
# an attempt that finds nobody is soon over: the job is tried again
MOST_BROKEN = 2
# what to do about a login
MEND = "change them where they stand, the ini or an import"
# seconds before each further try of what a recorder is too busy for
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
XML = {"Content-Type": "application/xml; charset=UTF-8"}
# the two names of the list of tracks, and of each an id in braces or without
FORMS = tuple((tracks, braces) for tracks in ("trackIDList", "trackList") for braces in (False, True))
_TYPE = "//recordType.meta.std-cgi.com"


class LoginRefused(Denied):
    """The recorder does not take this user and password."""


class Refused(Exception):
    """An answer that is no success: its status and what it says of itself. It may be another soon."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"it answered {status}" + (f", {text}" if text else ""))
        self.status = status


class Client:
    """One recorder, asked by one thread. `check` raises when it is time to end; it is asked five times a second.

    `refused` is asked before each request: whether the recorder is known to refuse this login, of other jobs.

    All raise LoginRefused, FetchFailed, Stalled, ForbiddenSource, and what `check` raises.
    """

    def __init__(
        self,
        place: Place,
        settings: Settings,
        tools: Tools,
        check: Callable[[], None],
        on_bytes: Callable[[int], None],
        refused: Callable[[], bool] = lambda: False,
        *,
        private: bool = True,
    ) -> None:
        self._place, self._tools, self._count, self._refused = place, tools, on_bytes, refused
        self._login, self._since = Login(place.user, place.password), 0.0
        self._form = 0
        self._silence = tools.stall_timeout or 3600.0
        self._http = Http(
            Guard.of(settings, private=private),
            proxy=settings.proxy, ca_file=place.ca_file, fingerprint=place.fingerprint,
            connect=min(self._silence, 20.0), read=self._silence, check=check,
        )  # fmt: skip

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    @property
    def secure(self) -> bool:
        """Whether it is asked over TLS."""
        return self._place.scheme == "https"

    # ------------------------------------------------------------- what it is
    def about(self) -> str:
        """Model, firmware and name, for the log; empty where it does not tell."""
        node = self._may("System/deviceInfo")
        words = [node.text(name) for name in ("model", "firmwareVersion", "deviceName")] if node else []
        return " ".join("".join(sign for sign in word[:60] if sign.isprintable()) for word in words if word)

    def clock(self) -> Clock:
        """Its clock."""
        now = datetime.now(UTC)
        node = self.get("System/time")
        try:
            return clock_of(node.text("localTime"), node.text("timeZone"), now)
        except (ValueError, OverflowError) as error:
            raise FetchFailed(f"cannot read the recorder's clock: {self._place.shown}: it {error}") from None

    def tracks(self) -> list[int]:
        """The main stream of each channel, in order."""
        own = self._may("Streaming/channels")
        behind = self._may("ContentMgmt/InputProxy/channels")
        if own is None and behind is None:
            raise FetchFailed(f"the recorder does not tell its channels: {self._place.shown}: name them in the message")
        found = {number for number in _ids(own, "StreamingChannel") if number % 100 == 1 and number > 100}
        found |= {number * 100 + 1 for number in _ids(behind, "InputProxyChannel") if 0 < number < 100_000}
        return sorted(found)

    def find(self, track: int, begin: datetime, end: datetime) -> list[Found]:
        """The recordings of a track that overlap a span of its clock, in order. Raises finding.TooMany, too."""
        searches: dict[tuple[datetime, datetime], str] = {}

        def ask(start: datetime, stop: datetime, position: int) -> Page:
            ident = searches.setdefault((start, stop), str(uuid.uuid4()).upper())
            return page_of(self._search(track, (start, stop), ident, position), track)

        return find(ask, begin, end)

    def _search(self, track: int, span: tuple[datetime, datetime], ident: str, position: int) -> Node:
        """One page, in the form that this recorder understands: found out by trying each."""
        for n in range(len(FORMS)):
            tracks, braces = FORMS[(self._form + n) % len(FORMS)]
            body = document(
                "CMSearchDescription",
                leaf("searchID", f"{{{ident}}}" if braces else ident),
                element(tracks, leaf("trackID", track)),
                element("timeSpanList", element("timeSpan", *map(leaf, ("startTime", "endTime"), map(written, span)))),
                leaf("maxResults", PAGE),
                leaf("searchResultPostion", position),
                element("metadataList", leaf("metadataDescriptor", _TYPE)),
            )
            try:
                answer = self._patiently("POST", "ContentMgmt/search", body, busy=(503,))
            except Refused as error:
                if error.status != 400 or n == len(FORMS) - 1:
                    raise self._failed("cannot search", error) from None
                continue
            self._form = (self._form + n) % len(FORMS)
            return answer
        raise AssertionError

    # ------------------------------------------------------------- asking
    def get(self, path: str) -> Node:
        """What stands at a path below /ISAPI/."""
        try:
            return self._patiently("GET", path, None, busy=(400, 500, 503))
        except Refused as error:
            raise self._failed(f"cannot ask for {path}", error) from None

    def _may(self, path: str) -> Node | None:
        """The same, of what not all recorders have."""
        try:
            return self._patiently("GET", path, None, busy=(503,))
        except (Refused, NotFound):
            return None

    def _patiently(self, method: str, path: str, body: bytes | None, busy: Sequence[int]) -> Node:
        """Ask until it is not busy any more. Raises Refused for another answer that is no success."""
        for tried, pause in enumerate((*PAUSES, None), 1):
            try:
                with self.answer(method, path, body) as response:
                    return parse(self._whole(response))
            except Silent:
                raise self._stalled() from None
            except (Refused, Broken, Unreadable) as error:
                if isinstance(error, Refused) and error.status not in busy:
                    raise
                if pause is None or (isinstance(error, Broken) and tried >= MOST_BROKEN):
                    raise self._failed(f"cannot ask for {path}", error) from None
            self._tools.pause(pause or 0)
        raise AssertionError

    @contextmanager
    def answer(self, method: str, path: str, body: bytes | None) -> Iterator[Response]:
        """A success. Raises Refused for another answer, and Broken, Silent."""
        url = self._url(path)
        if self._refused():
            text = "the recorder refused this user and password before"
            raise Denied(f"{text}: {self._place.shown}: {MEND}, or say: videod retry")
        for tried in range(MOST_STALE + 1):
            if time.monotonic() > self._since + NONCE_SECONDS:
                self._login.forget()
            sent = dict(XML) if body is not None else {}
            known = self._login.ready
            if known:
                sent["Authorization"] = self._login.header(method, url.target)
            with self._http.request(method, url, sent, body) as response:
                if response.status == 401:
                    self._challenged(response, final=known, last=tried == MOST_STALE)
                    continue
                self._judge(response)
                yield response
                return
        raise AssertionError

    def _challenged(self, response: Response, *, final: bool, last: bool) -> None:
        try:
            challenge = challenge_of(response.headers.getlist("WWW-Authenticate"), self.secure)
        except Unanswerable as error:
            if final:
                challenge = None
            else:
                raise Denied(f"cannot log in: {self._place.shown}: {error}") from None
        if last or (final and not (challenge and challenge.stale)):
            text = f"the recorder refused user and password: {self._place.shown}: {MEND}"
            with suppress(Broken, Unreadable):
                if told := left(self._whole(response)):
                    text += f": {told}"
            raise LoginRefused(text)
        self._login.learn(challenge)
        self._since = time.monotonic()

    def _judge(self, response: Response) -> None:
        status = response.status
        if 200 <= status < 300:
            return
        if status in REDIRECTS:
            where = response.headers.get("Location", "").partition(":")[0].lower()
            advice = "set tls = yes" if where == "https" and not self.secure else "look at its settings"
            raise FetchFailed(f"the recorder leads elsewhere: {self._place.shown}: {advice}")
        try:
            text = said(self._whole(response))
        except Unreadable:
            text = ""
        if status == 403 and "activ" in text.lower():
            raise Denied(f"the recorder is not activated: {self._place.shown}")
        raise Refused(status, text)

    def _whole(self, response: Response) -> bytes:
        made = bytearray()
        for piece in pieces(response, 1 << 16):
            made += piece
            if len(made) > MOST_BYTES:
                raise Unreadable(f"more than {MOST_BYTES} bytes")
        self._count(len(made))
        return bytes(made)

    def _url(self, path: str) -> Url:
        return check_url(f"{self._place.scheme}://{self._place.netloc}/ISAPI/{path}")

    def _failed(self, what: str, why: object) -> Failure:
        status = getattr(why, "status", 0)
        kinds: dict[int, type[Failure]] = {403: Denied, 404: NotFound}
        kind = kinds.get(status, FetchFailed)
        return kind(f"{what}: {self._place.shown}: {why}")

    def _stalled(self) -> Stalled:
        return Stalled(f"the recorder sent nothing for {self._silence:g} s: {self._place.shown}")


def _ids(node: Node | None, name: str) -> list[int]:
    texts = [item.text("id") for item in node.all(name)] if node else []
    return [int(text) for text in texts if text.isdigit() and text.isascii() and len(text) < 9]
