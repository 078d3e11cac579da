"""completion: the script that a shell reads."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from videod.config import ENVIRONMENTS
from videod.jobqueue.search import STATES

# what the parser leaves to the commands to check, so that the error says more
_WORDS = {"env": ENVIRONMENTS, "state": STATES}
_PATHS = {"config": shtab.FILE, "message": shtab.FILE, "dir": shtab.DIRECTORY}


def completion(arguments: argparse.Namespace) -> int:
    """Print it."""
    from videod.cli.parser import build

    parser = build()
    for action in _actions(parser):
        if action.dest in _WORDS:
            action.choices = _WORDS[action.dest]
        elif action.dest in _PATHS:
            action.complete = _PATHS[action.dest]  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Those of the parser and of all its verbs."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _actions(verb)
