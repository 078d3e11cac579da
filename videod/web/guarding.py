"""What holds for every answer: names that the Host may have, headers, the cookie, and no fault that shows its stack.

Plain ASGI: nothing of a body is held here, so uploads, downloads and events pass through as they come. A request that
is refused before its body was read ends its connection: what still comes would be read for nobody.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from videod.config.settings import Settings
from videod.web.access import ACCESS, Access
from videod.web.sessions import KEY
from videod.web.trouble import Trouble, as_json

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # not no-referrer: with that, our own forms would come without an origin
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
PRIVATE = "private, no-store"
# of a body that was refused so much is read and forgotten: who still sends would hear of a reset, not of the refusal
MOST_LEFT, LEFT_SECONDS = 1 << 20, 1.0

Shown = Callable[[Request, Trouble], Awaitable[Response]]


class Guarding:
    """Stands in front of the application. `shown` makes the answer of what goes wrong."""

    def __init__(self, app: ASGIApp, settings: Settings, access: Access, shown: Shown, log: logging.Logger) -> None:
        self._app, self._access, self._shown, self._log = app, access, shown, log
        self._names = {"localhost", *(name.lower() for name in settings.web.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[ACCESS] = self._access
        begun, body = False, _Body(Headers(scope=scope), receive)

        async def out(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                if message["status"] >= 400 and not await body.over(message["status"]):
                    headers["connection"] = "close"
                begun = True
                self._dress(scope, headers)
            await send(message)

        try:
            if not self._known(Headers(scope=scope).get("host", "")):
                what = "This site is not called by that name."
                raise Trouble(421, what, "Whoever runs it can add the name to hosts in its settings.")
            await self._app(scope, body.receive, out)
        except ClientDisconnect:
            return  # who asked has left
        except Exception as error:
            if not isinstance(error, Trouble):
                self._log.exception("fault: %s %s", scope["method"], scope["path"].split("/")[1][:20])
            if begun:  # the rest of the answer is missing: the connection ends, so nobody takes it for whole
                raise
            trouble = error if isinstance(error, Trouble) else fault()
            answer = await self._answer(Request(scope, body.receive), trouble)
            await answer(scope, body.receive, out)

    async def _answer(self, request: Request, trouble: Trouble) -> Response:
        try:
            return await self._shown(request, trouble)
        except Exception:
            self._log.exception("fault: an error could not be shown")
            return as_json(trouble)

    def _known(self, host: str) -> bool:
        """Whether the Host is a name of ours: a page elsewhere may let its own name lead here, but never an address."""
        name = host.lower()
        name = name[: name.find("]") + 1] if name.startswith("[") else name.partition(":")[0]
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _dress(self, scope: Scope, headers: MutableHeaders) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("cache-control", PRIVATE)
        session = scope.get(KEY)
        if session and session.changed:
            cookie = self._access.sessions.header(session, secure=self._access.secure(scope))
            headers.append("set-cookie", cookie.decode())


class _Body:
    """The body of a request as it passes through."""

    def __init__(self, headers: Headers, receive: Receive) -> None:
        self._receive = receive
        self._over = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        # who waits to be asked for the body does not send it
        self._waits = "expect" in headers

    async def receive(self) -> Message:
        """The next piece."""
        message = await self._receive()
        self._over = self._over or message["type"] != "http.request" or not message.get("more_body")
        self._waits = False
        return message

    async def over(self, status: int) -> bool:
        """Whether it was read whole, here for nobody, if that takes no time. Not where it came too slowly (408)."""
        left = 0 if self._waits or status == 408 else MOST_LEFT
        try:
            async with asyncio.timeout(LEFT_SECONDS):
                while left > 0 and not self._over:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass
        return self._over


def fault() -> Trouble:
    """What visitors are told of a fault of ours."""
    return Trouble(500, "Something went wrong here.", "The log says what. Try again, or tell whoever runs this site.")
