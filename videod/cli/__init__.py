"""The command line: one verb a file. An error's class gives the exit code, its text the one line on stderr."""

from __future__ import annotations

import os
import sys

from videod.errors import Cancelled, VideodError
from videod.redact import hide


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _open_closed()
    from videod.cli.parser import build
    from videod.logs import visible

    arguments = build().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except VideodError as error:
        _drop_output()
        print(f"videod: {visible(hide(' '.join(str(error).split())))}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, Cancelled):
        return 130
    except OSError as error:
        _drop_output()
        if isinstance(error, BrokenPipeError):  # the reader of our output left
            return 1
        print(f"videod: {error.strerror}: {error.filename or 'system'}: check it and try again", file=sys.stderr)
        return 1
    except Exception as error:
        if "VIDEOD_DEBUG" in os.environ:
            raise
        fault = visible(hide(" ".join(f"{type(error).__name__}: {error}".split())))
        print(f"videod: internal fault: {fault}: set VIDEOD_DEBUG=1 for the stack and report it", file=sys.stderr)
        return 1


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
