"""web: serve pages on which people upload videos, wait, and watch the result."""

from __future__ import annotations

import argparse
import dataclasses
import getpass
import hashlib
import os
import secrets
import sys

from videod.cli.where import config, connect, place
from videod.config import Settings
from videod.config.visitors import is_loopback, listen
from videod.errors import ConfigError, ToolMissing, UsageError
from videod.jobqueue.steady import Steady
from videod.logs import Logs

LONGEST_PASSWORD = 1000


def web(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; or print what the ini needs for a user or a token."""
    if arguments.hash:
        return _hash()
    if arguments.token:
        return _token()
    settings = _settings(arguments)
    _closed_by_default(settings)
    return run(settings)


def run(settings: Settings) -> int:
    """Serve in the foreground. ToolMissing without the extra."""
    try:
        from videod.web.serving import serve
    except ImportError as error:
        raise ToolMissing(f"{error.name} is not installed: web: pip install 'videod[web]'") from None
    connect(settings).close()
    connection = Steady(settings)
    try:
        return serve(settings, connection, Logs(settings, foreground=True).log)
    finally:
        connection.close()


def _settings(arguments: argparse.Namespace) -> Settings:
    # a unit names its environment and may start before the daemon does
    named = arguments.env or os.environ.get("VIDEOD_ENV")
    settings = config(arguments.config).settings(named) if named else place(arguments.config, None).settings
    if not arguments.listen:
        return settings
    try:
        address = listen(arguments.listen)
    except ValueError as error:
        raise UsageError(f"--listen: {arguments.listen}: must be {error}") from None
    return dataclasses.replace(settings, web=dataclasses.replace(settings.web, listen=address))


def _closed_by_default(settings: Settings) -> None:
    web = settings.web
    if not is_loopback(web.listen) and not (web.users or web.tokens or web.user_header):
        raise ConfigError(
            f"[web] listen: {settings.file}: {web.listen} is reached from elsewhere: set users, tokens or user_header"
        )


def _hash() -> int:
    try:
        from argon2 import PasswordHasher
    except ImportError as error:
        raise ToolMissing(f"{error.name} is not installed: web: pip install 'videod[web]'") from None
    try:
        given = _typed() if sys.stdin.isatty() else sys.stdin.readline(LONGEST_PASSWORD + 2)
        password = given.rstrip("\r\n")
        password.encode()
    except (EOFError, UnicodeError):
        raise UsageError("a password is text in UTF-8: stdin: give another") from None
    if not 8 <= len(password) <= LONGEST_PASSWORD:
        raise UsageError(f"a password has 8 to {LONGEST_PASSWORD} characters: stdin: choose another")
    print(PasswordHasher().hash(password))
    return 0


def _typed() -> str:
    given = getpass.getpass("password: ")
    if getpass.getpass("again: ") != given:
        raise UsageError("the two passwords differ: try again")
    return given


def _token() -> int:
    token = secrets.token_urlsafe(32)
    print(f"token: {token}\nhash:  {hashlib.sha256(token.encode()).hexdigest()}")
    return 0
