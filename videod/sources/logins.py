"""Logins of recorders in this node's secrets file: where no key is set up that would seal them for all nodes."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping

from videod.config.settings import Settings
from videod.errors import ConfigError

# what an ini would read as something else than it is
_UNFIT = re.compile(r"\$\{|[\r\n\x00]")


def keep(settings: Settings, found: Mapping[str, tuple[str, str]]) -> bool:
    """Write logins into the secrets file, by recorder; whether that changed it. ConfigError."""
    path = settings.secrets_file
    before, text = planned(settings, found)
    try:
        if text != before:
            _replace(path, text)
        return text != before
    except OSError as error:
        raise ConfigError(f"secrets_file: {path}: {error.strerror or error}: mend it") from None


def planned(settings: Settings, found: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """The secrets file as it is and as it will be; nothing is written. ConfigError."""
    path = settings.secrets_file
    if not path:
        text = "set it, or [keys] import in it: the passwords of the sheet have to be kept somewhere"
        raise ConfigError(f"[{settings.env}] secrets_file: {settings.file}: {text}")
    try:
        before = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                before = file.read()
        text = before
        for recorder, (user, password) in found.items():
            if _UNFIT.search(user + password):
                raise ConfigError(f"secrets_file: {path}: cannot hold the password of {recorder}: set [keys] import")
            text = _with(text, f"[recorder {recorder}]", user, password)
        return before, text
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"secrets_file: {path}: {getattr(error, 'strerror', None) or error}: mend it") from None


def _with(text: str, head: str, user: str, password: str) -> str:
    """The ini with this login in the section; what else stands there stays."""
    login = f"user = {user}\npassword = {password}\n"
    begin = re.search(rf"^{re.escape(head)}[ \t]*$\n?", text, re.MULTILINE)
    if not begin:
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}{head}\n{login}"
    behind = re.search(r"^\[", text[begin.end() :], re.MULTILINE)
    end = begin.end() + behind.start() if behind else len(text)
    rest = re.sub(r"^(?:user|password)[ \t]*=.*\n?(?:[ \t]+\S.*\n?)*", "", text[begin.end() : end], flags=re.MULTILINE)
    return f"{text[: begin.start()]}{head}\n{login}{rest}{text[end:]}"


def _replace(path: str, text: str) -> None:
    """As a whole, readable by its owner alone, who stays the same."""
    beside = f"{path}.{secrets.token_hex(4)}.tmp"
    number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(number)
            if os.path.exists(path):
                owner = os.stat(path)
                os.fchown(number, owner.st_uid, owner.st_gid)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
