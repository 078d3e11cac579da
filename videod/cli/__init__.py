"""The command line: one verb a file. An error's class gives the exit code, its text the one line on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys

from videod.errors import Cancelled, VideodError
from videod.redact import hide


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _open_closed()
    from videod.cli.parser import build

    given = sys.argv[1:] if argv is None else argv
    # until it is parsed we can but guess
    as_json = "--json" in given
    try:
        arguments = build().parse_args(given)
        as_json = getattr(arguments, "json", False)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except VideodError as error:
        return _fail(str(error), error.exit_code, as_json=as_json)
    except (KeyboardInterrupt, Cancelled):
        return 130
    except BrokenPipeError:  # the reader of our output left
        _drop_output()
        return 1
    except OSError as error:
        text = f"{error.strerror}: {error.filename or 'system'}: check it and try again"
        return _fail(text, 1, as_json=as_json)
    except Exception as error:
        if "VIDEOD_DEBUG" in os.environ:
            raise
        text = f"internal fault: {type(error).__name__}: {error}: set VIDEOD_DEBUG=1 for the stack and report it"
        return _fail(text, 1, as_json=as_json)


def _fail(text: str, code: int, *, as_json: bool) -> int:
    """One line on stderr, and with --json the document on stdout, too."""
    from videod.logs import visible

    _drop_output()
    line = visible(hide(" ".join(text.split())))
    print(f"videod: {line}", file=sys.stderr)
    if as_json:
        with contextlib.suppress(OSError):
            print(json.dumps({"error": {"code": code, "message": line}}))
        _drop_output()
    return code


def _open_closed() -> None:
    """Open what is closed of stdin, stdout and stderr: the next file would get that number, a socket too."""
    missing = []
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest number that is free
            missing.append(number)
    for number in missing:
        name, mode = ("stdin", "r") if not number else (("stdout", "stderr")[number - 1], "w")
        setattr(sys, name, open(number, mode, encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115


def _drop_output() -> None:
    """What is left of our output goes nowhere if it cannot be written: a second error at exit would be noise."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
