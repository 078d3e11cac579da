"""completion: the script that a shell reads."""

from __future__ import annotations

import argparse

import shtab


def completion(arguments: argparse.Namespace) -> int:
    """Print it."""
    from videod.cli.parser import build

    print(shtab.complete(build(), arguments.shell))
    return 0
