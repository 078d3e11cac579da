"""Who asks, and what they may do. `require(request, role)` is the one question that every room asks.

Without users, tokens and user_header there is no login: the site listens on loopback alone, and whoever reaches it may
do everything; each browser owns what it queued. Else somebody is who their session, token or proxy says.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from videod.config.settings import Settings
from videod.config.visitors import NAME, ROLES
from videod.web.sessions import COOKIE, Session, Sessions
from videod.web.trouble import LoginNeeded, Trouble

SAFE = ("GET", "HEAD", "OPTIONS")
# each look at a password takes 64 MB for a moment
AT_ONCE = 2
# set by who has read a form: the token in it
FORM_TOKEN = "videod.form_token"  # noqa: S105
TOKEN_HEADER = "x-csrf-token"  # noqa: S105
ACCESS = "videod.access"


@dataclass(frozen=True)
class Visitor:
    """Who asks. `how`: `browser` (no login here), `session`, `token` or `proxy`."""

    name: str
    role: str
    how: str

    def may(self, role: str) -> bool:
        """Whether the role is enough."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Access:
    """Tells who asks; holds no state but the keys."""

    def __init__(self, settings: Settings) -> None:
        self._web, self.sessions = settings.web, Sessions(settings)
        self._users = {user.name: user for user in settings.web.users}
        self._networks = [
            ipaddress.ip_network(entry, strict=False) for entry in self._web.trusted_proxies if entry != "unix"
        ]
        self._hasher = PasswordHasher()
        # who is nobody costs as much time as who is somebody
        self._nobody = self._hasher.hash("nobody")
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    @property
    def open(self) -> bool:
        """Whether there is no login here."""
        return not (self._web.users or self._web.tokens or self._web.user_header)

    @property
    def by_password(self) -> bool:
        """Whether people log in here."""
        return bool(self._web.users)

    def session(self, request: HTTPConnection) -> Session:
        """That of the browser."""
        return self.sessions.of(request.scope, request.cookies.get(COOKIE, ""))

    def visitor(self, request: HTTPConnection) -> Visitor | None:
        """Who asks; None: nobody that is known."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._by_token(token.strip())
        if self._web.user_header and self.by_proxy(request.scope):
            # names come as UTF-8, which Starlette reads as Latin-1
            names = [name.encode("latin-1") for name in request.headers.getlist(self._web.user_header)]
            name = names[0].decode("utf-8", "replace") if len(names) == 1 else ""  # of two one may be the client's
            if NAME.fullmatch(name) and "\ufffd" not in name:
                return Visitor(name, self._web.header_role, "proxy")
        session = self.session(request)
        if self.open:
            return Visitor(session.owner, "admin", "browser")
        user = self._users.get(session.name)
        if user and hmac.compare_digest(session.mark, self.sessions.mark(user.hash)):
            return Visitor(user.name, user.role, "session")
        return None

    def _by_token(self, token: str) -> Visitor | None:
        hashed = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = [one for one in self._web.tokens if hmac.compare_digest(one.hash, hashed)]
        return Visitor(found[0].name, found[0].role, "token") if found else None

    def log_in(self, session: Session, name: str, password: str) -> bool:
        """Whether name and password are right; the session is theirs then. Takes a tenth of a second."""
        user = self._users.get(name)
        with self._turns:
            try:
                self._hasher.verify(user.hash if user else self._nobody, password)
            except (Argon2Error, InvalidHashError):
                return False
        if user is None:
            return False
        session.begin(name, self.sessions.mark(user.hash))
        return True

    def by_proxy(self, scope: Scope) -> bool:
        """Whether a proxy asks whose headers are believed."""
        peer = (scope.get("client") or ("",))[0]
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return "unix" in self._web.trusted_proxies
        return any(address in network for network in self._networks)

    def address(self, request: HTTPConnection) -> str:
        """Where the request comes from, for counting tries."""
        peer = (request.scope.get("client") or ("unix",))[0] or "unix"
        if not self.by_proxy(request.scope):
            return str(peer)
        # the last is what our proxy saw; what stands before it anybody may have written
        lines = request.headers.getlist("x-forwarded-for")
        return lines[-1].rpartition(",")[2].strip()[:100] if lines and lines[-1].strip() else str(peer)

    def secure(self, scope: Scope) -> bool:
        """Whether the browser came by https."""
        if not self.by_proxy(scope):
            return bool(scope.get("scheme") == "https")
        return HTTPConnection(scope).headers.get("x-forwarded-proto", scope.get("scheme")) == "https"


def access_of(request: HTTPConnection) -> Access:
    """The site's."""
    found: Access = request.scope[ACCESS]
    return found


def visitor(request: HTTPConnection) -> Visitor | None:
    """Who asks; None: nobody that is known."""
    return access_of(request).visitor(request)


def require(request: Request, role: str) -> Visitor:
    """Who asks, if they may do this. LoginNeeded (401), Trouble (403).

    What changes something must come from a page of ours, too: see `unforged`.
    """
    found = visitor(request)
    if found is None:
        raise LoginNeeded
    if request.method not in SAFE:
        unforged(request, found)
    if not found.may(role):
        raise Trouble(403, "You may not do this.", "Ask whoever runs this site for another role.")
    return found


def unforged(request: Request, found: Visitor | None = None) -> None:
    """Trouble (403) where another site may have made a browser ask: by its Origin, and by the token of our forms.

    A token of a program is not sent by browsers by themselves. Where there is no login, a program needs none:
    it shows neither cookie nor origin, of which a browser sends at least one.
    """
    if found and found.how == "token":
        return
    headers = request.headers
    origin, place = headers.get("origin"), headers.get("sec-fetch-site", "none")
    if (origin is not None and _place(origin) != headers.get("host")) or place not in ("same-origin", "none"):
        raise Trouble(403, "Another site asked for this in your name.", "Nothing was done.")
    if origin is None and not request.cookies and (found is None or found.how == "browser"):
        return
    given = request.scope.get(FORM_TOKEN) or headers.get(TOKEN_HEADER, "")
    access = access_of(request)
    if not hmac.compare_digest(given.encode(), access.sessions.token(access.session(request)).encode()):
        raise Trouble(403, "This page is too old.", "Load it again, and then try once more.")


def _place(origin: str) -> str:
    """Host and port of an Origin; empty where it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # a bracket that is not closed
        return ""
