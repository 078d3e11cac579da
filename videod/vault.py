"""Logins of recorders, sealed for every node that has the key: Fernet of `cryptography` (AES-128-CBC, HMAC-SHA256)."""

from __future__ import annotations

import hashlib
import hmac
import json

from videod.errors import ToolMissing


def mark(key: str) -> str:
    """Tells one key from another without giving anything of it away; empty for none."""
    return hmac.new(key.encode(), b"videod node", hashlib.sha256).hexdigest()[:8] if key else ""


class Vault:
    """Seals and opens with one key, 32 bytes in URL-safe base64. Raises ToolMissing without `cryptography`."""

    def __init__(self, key: str) -> None:
        try:
            from cryptography.fernet import Fernet, InvalidToken
        except ImportError:
            raise ToolMissing("cryptography is not installed: [keys] import: pip install 'videod[sheet]'") from None
        self._fernet, self._invalid, self._key = Fernet(key), InvalidToken, key.encode()

    def seal(self, user: str, password: str) -> str:
        """A login, for who has the key; another text each time."""
        return self._fernet.encrypt(json.dumps([user, password]).encode()).decode()

    def open(self, sealed: str) -> tuple[str, str] | None:
        """User and password; None where it was sealed with another key, or changed."""
        try:
            user, password = json.loads(self._fernet.decrypt(sealed.encode()))
        except (self._invalid, ValueError):
            return None
        return str(user), str(password)

    def digest(self, user: str, password: str) -> str:
        """Tells one login from another, to who has the key alone: a weak password could else be tried out."""
        told = json.dumps([user, password]).encode()
        return hmac.new(self._key, told, hashlib.sha256).hexdigest()[:32]
