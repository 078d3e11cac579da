"""The command line: one verb a file. An error's class gives the exit code, its text the one line on stderr."""

from __future__ import annotations

import sys

from videod.errors import Cancelled, VideodError
from videod.redact import hide


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    from videod.cli.parser import build

    arguments = build().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except VideodError as error:
        print(f"videod: {hide(' '.join(str(error).split()))}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, Cancelled):
        return 130
    except BrokenPipeError:
        # the reader of our output left; a second error at exit would be noise
        sys.stderr.close()
        return 1
