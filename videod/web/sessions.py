"""What a browser is known by: one signed cookie with a random number, and the name of who logged in with it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.types import Scope

from videod.config.settings import Settings
from videod.config.visitors import LEAST_KEY
from videod.errors import ConfigError

COOKIE = "videod"
# a login ends after a week; a browser that nobody logged in with is known by its number for a year
LOGIN_SECONDS, BROWSER_SECONDS = 7 * 86400, 365 * 86400
KEY = "videod.session"
# who guesses it is whoever they like
# browsers keep no more; a name may have 128 characters of any script
LONGEST = 4096


@dataclass
class Session:
    """Of one browser. `number` is secret and random; `name` is '' unless somebody logged in, `mark` proves with which
    password. `changed`: the cookie has to be sent."""

    number: str
    name: str = ""
    mark: str = ""
    changed: bool = False

    @property
    def owner(self) -> str:
        """What belongs to a browser nobody logged in with belongs to this; it does not tell the number."""
        return "~" + hashlib.sha256(f"owner {self.number}".encode()).hexdigest()[:24]

    def keep(self) -> None:
        """Let the browser keep it: it has a reason to be known again."""
        self.changed = True

    def begin(self, name: str, mark: str) -> None:
        """Somebody logged in, or out with '': under a new number, since the old one may be known to others."""
        self.number, self.name, self.mark, self.changed = secrets.token_urlsafe(18), name, mark, True


class Sessions:
    """Reads and writes the cookie. ConfigError for a key that is too short."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.web.secret.encode() or _made_once(Path(settings.web.folder))
        if len(self._key) < LEAST_KEY:
            where = f"folder: {settings.web.folder}/secret"
            raise ConfigError(f"[web] {where}: {settings.file}: must have {LEAST_KEY} characters or more")
        self._cookies = URLSafeTimedSerializer(self._key, salt="videod session")

    def of(self, scope: Scope, cookie: str) -> Session:
        """The session of a request, from its cookie; a new one where that is none of ours or too old."""
        if KEY not in scope:
            scope[KEY] = self._read(cookie)
        found: Session = scope[KEY]
        return found

    def _read(self, cookie: str) -> Session:
        try:
            values, made_at = self._cookies.loads(cookie if len(cookie) <= LONGEST else "", return_timestamp=True)
            number, name, mark = values
            # one that another machine made, whose clock is ahead, has no age yet; the library would refuse it
            age = time.time() - made_at.timestamp()
            if age > (LOGIN_SECONDS if name else BROWSER_SECONDS):
                return Session(secrets.token_urlsafe(18))
            return Session(str(number), str(name), str(mark))
        except (BadSignature, TypeError, ValueError):
            # kept only when it is needed: most that ask without a cookie are no browsers
            return Session(secrets.token_urlsafe(18))

    def header(self, session: Session, *, secure: bool) -> bytes:
        """The Set-Cookie of a session."""
        value = self._cookies.dumps([session.number, session.name, session.mark])
        age = LOGIN_SECONDS if session.name else BROWSER_SECONDS
        text = value if isinstance(value, str) else value.decode()
        told = f"{COOKIE}={text}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax"
        return (told + ("; Secure" if secure else "")).encode()

    def token(self, session: Session) -> str:
        """What a form of this session carries, so that no other site's form passes for it."""
        return hmac.new(self._key, f"forgery {session.number}".encode(), hashlib.sha256).hexdigest()

    def mark(self, hashed: str) -> str:
        """What ties a login to the password's hash: a new password ends it."""
        return hmac.new(self._key, f"login {hashed}".encode(), hashlib.sha256).hexdigest()[:32]


def _made_once(folder: Path) -> bytes:
    """The key in the folder; made by who comes first, and whole for everybody else. OSError."""
    path, mine = folder / "secret", folder / f".secret-{secrets.token_hex(8)}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(fd, "w") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(fd)
            os.link(mine, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(mine)
    return path.read_bytes()
