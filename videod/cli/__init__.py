"""The command line: one verb a file. An error's class gives the exit code, its text the one line on stderr."""

from __future__ import annotations

import os
import sys

from videod.errors import Cancelled, VideodError
from videod.redact import hide


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    from videod.cli.parser import build
    from videod.logs import visible

    arguments = build().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except VideodError as error:
        print(f"videod: {visible(hide(' '.join(str(error).split())))}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, Cancelled):
        return 130
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            # the reader of our output left; a second error at exit would be noise
            sys.stderr.close()
            return 1
        print(f"videod: {error.strerror}: {error.filename or 'system'}: check it and try again", file=sys.stderr)
        return 1
    except Exception as error:
        if "VIDEOD_DEBUG" in os.environ:
            raise
        fault = visible(hide(" ".join(f"{type(error).__name__}: {error}".split())))
        print(f"videod: internal fault: {fault}: set VIDEOD_DEBUG=1 for the stack and report it", file=sys.stderr)
        return 1
