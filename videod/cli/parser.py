"""All verbs and their options in one place. A verb's file is imported when the verb is used."""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
from collections.abc import Callable
from typing import NoReturn, TypeAlias

from videod import __version__
from videod.errors import UsageError

ENV_HELP = "dev, local or prod (default: $VIDEOD_ENV, else the one that runs here)"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors have the one form of all our errors."""

    def error(self, message: str) -> NoReturn:
        """UsageError, one line."""
        # of all verbs that there are, argparse's list is longer than a line
        if found := re.match(r"argument COMMAND: invalid choice: '([^']*)' \(choose from (.*)\)", message):
            verbs = re.findall(r"[\w-]+", found[2])
            near = [verb for verb in verbs if found[1] and verb.startswith(found[1])]
            near = near or difflib.get_close_matches(found[1], verbs, 1, 0.5)
            message = f"no command of this name: {found[1]}" + (f": did you mean '{near[0]}'?" if near else "")
        raise UsageError(f"{message}: command line: see {self.prog} --help")


Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


def build() -> argparse.ArgumentParser:
    """The parser of `videod`."""
    parser = Parser(
        prog="videod",
        description="Cut, convert and fetch videos that producers name in a Redis list.",
        epilog="example: videod start prod && videod push https://example.org/talk.mp4 --wait",
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="the ini (default: $VIDEOD_CONFIG, /etc/videod.ini)")
    parser.add_argument("--version", action="version", version=f"videod {__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True, dest="verb", parser_class=Parser)
    _daemon(verbs)
    _look(verbs)
    _jobs(verbs)
    _ways_in(verbs)
    return parser


def _named(given: str) -> str:
    """An argument that names something: not empty, which would pass for none, and UTF-8, as all keys are."""
    if not given:
        raise argparse.ArgumentTypeError("is empty")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("is no UTF-8") from None
    return given


def _count(given: str) -> int:
    """A number of things, 0 or more."""
    if not (given.isascii() and given.isdigit()):
        raise argparse.ArgumentTypeError(f"'{given}' is no number of lines")
    return int(given)


def _lazy(file: str, function: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        found: int = getattr(importlib.import_module(f"videod.cli.{file}"), function)(arguments)
        return found

    return run


def _verb(verbs: Verbs, name: str, file: str, text: str, example: str) -> Parser:
    made: Parser = verbs.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=f"example: {example}"
    )
    made.set_defaults(run=_lazy(file, {"list": "list_", "import": "import_"}.get(name, name)))
    return made


def _word(parser: Parser) -> Parser:
    parser.add_argument("env", metavar="ENV", nargs="?", help=ENV_HELP)
    return parser


def _option(parser: Parser) -> Parser:
    parser.add_argument("-e", "--env", metavar="ENV", type=_named, help=ENV_HELP)
    return parser


def _json(parser: Parser) -> Parser:
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser


def _daemon(verbs: Verbs) -> None:
    _json(
        _word(
            _verb(verbs, "start", "daemon", "start the daemon and return when it serves", "videod start prod"),
        )
    )
    _word(
        _verb(verbs, "run", "daemon", "serve in the foreground, for systemd and supervisors", "videod run prod"),
    )
    stop = _json(_word(_verb(verbs, "stop", "daemon", "stop: finish what runs, then exit", "videod stop prod --now")))
    restart = _json(_word(_verb(verbs, "restart", "daemon", "stop and start", "videod restart prod")))
    for parser in (stop, restart):
        parser.add_argument("--now", action="store_true", help="do not wait: put what runs back into its lists")
    _json(_word(_verb(verbs, "reload", "daemon", "reopen the log, take up changed settings", "videod reload prod")))


def _look(verbs: Verbs) -> None:
    status = _verb(
        verbs, "status", "status", "show daemon, slots, running jobs and queues", "videod status prod --json"
    )
    _json(_word(status))
    check = _verb(verbs, "check", "check", "check configuration, tools, Redis, storage and disk", "videod check prod")
    _json(_word(check))
    log = _option(_verb(verbs, "log", "log", "print the debug log, of one job if named", "videod log -f my-job-1"))
    log.add_argument("id", metavar="ID", type=_named, nargs="?", help="only lines of this job")
    log.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    log.add_argument(
        "-n", "--lines", metavar="N", type=_count, default=100, help="begin with the last N lines (default 100)"
    )
    _json(log)
    _completion(verbs)


def _completion(verbs: Verbs) -> None:
    text = "print the completion script of a shell"
    completion = _verb(
        verbs, "completion", "completion", text, "videod completion bash > /etc/bash_completion.d/videod"
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="which shell")


def _jobs(verbs: Verbs) -> None:
    example = 'videod push \'{"url": "https://example.org/v.mp4", "start": "1:30", "duration": 20}\' --wait'
    push = _json(_option(_verb(verbs, "push", "push", "check a message and queue it", example)))
    push.add_argument(
        "message", metavar="MESSAGE", nargs="?", default="-", help="JSON, an address, a file, or - for stdin"
    )
    push.add_argument("--wait", action="store_true", help="show progress and exit with the outcome")
    jobs = _json(
        _option(_verb(verbs, "list", "jobs", "list jobs: running, waiting and ended", "videod list --state dead"))
    )
    jobs.add_argument("--state", metavar="STATE", type=_named, help="only jobs in this state")
    show = _json(_option(_verb(verbs, "show", "jobs", "show one job whole", "videod show my-job-1")))
    show.add_argument("id", metavar="ID", type=_named, help="the job's id")
    dead = _json(
        _option(
            _verb(verbs, "dead", "dead", "list messages that ended dead, or drop them", "videod dead --drop my-job-1")
        )
    )
    dead.add_argument(
        "--drop",
        metavar="ID",
        nargs="?",
        const=False,
        type=_named,
        help="take this one out of the list; with --all: every one",
    )
    dead.add_argument("--all", action="store_true", help="with --drop: all of them")
    _steer(verbs)
    demo = _json(
        _verb(verbs, "demo", "demo", "try the whole chain here: private Redis, made video, one clip", "videod demo")
    )
    demo.add_argument("--url", metavar="URL", help="cut this video instead of a made one")
    demo.add_argument("--start", metavar="TIME", help="begin of the clip (default 2)")
    demo.add_argument("--end", metavar="TIME", help="end of the clip (default 5)")
    demo.add_argument("--dir", metavar="DIR", default="demo", help="where to work and leave the clip (default ./demo)")
    demo.add_argument("--web", action="store_true", help="serve the pages of `videod web` instead, until Ctrl-C")


def _ways_in(verbs: Verbs) -> None:
    text = "queue each video that appears in a folder, when it is whole"
    watch = _option(_verb(verbs, "watch", "watch", text, "videod watch /srv/uploads --into html5"))
    watch.add_argument("dir", metavar="DIR", type=_named, help="the folder, below allow_paths")
    watch.add_argument("--into", metavar="PRESET", type=_named, help="how to convert (default html5)")

    text = "serve pages on which people upload videos, wait and watch the result"
    web = _option(_verb(verbs, "web", "web", text, "videod web --listen 127.0.0.1:8080"))
    one = web.add_mutually_exclusive_group()
    one.add_argument("--listen", metavar="ADDRESS", type=_named, help="host:port or unix:/path, instead of the ini's")
    one.add_argument("--hash", action="store_true", help="read a password and print its hash, for users of the ini")
    one.add_argument("--token", action="store_true", help="make a token, print it and its hash, for tokens of the ini")

    text = "queue the recordings that a spreadsheet names, a row each"
    sheet = _json(_option(_verb(verbs, "import", "importing", text, "videod import recordings.xlsx --dry-run")))
    sheet.add_argument("file", metavar="FILE", type=_named, help=".xlsx or .csv")
    sheet.add_argument("--dry-run", action="store_true", help="show what would be queued")
    text = "show how the rows of an import stand"
    report = _json(_option(_verb(verbs, "report", "report", text, "videod report recordings.xlsx --output done.csv")))
    report.add_argument("file", metavar="FILE", type=_named, nargs="?", help="the file that was imported")
    report.add_argument("--batch", metavar="ID", type=_named, help="or the id that import printed")
    report.add_argument("-o", "--output", metavar="OUT", type=_named, help="write a .csv or .xlsx instead of a table")


def _steer(verbs: Verbs) -> None:
    text = "end a job: remove it where it waits, kill it where it runs"
    cancel = _json(_option(_verb(verbs, "cancel", "steer", text, "videod cancel my-job-1")))
    cancel.add_argument("id", metavar="ID", type=_named, help="the job's id")
    text = "queue a dead or cancelled job once more, or a retry at once"
    retry = _json(_option(_verb(verbs, "retry", "steer", text, "videod retry --all")))
    retry.add_argument("id", metavar="ID", type=_named, nargs="?", help="the job's id")
    retry.add_argument("--all", action="store_true", help="all that are in the list of dead messages")
    _json(_option(_verb(verbs, "nodes", "nodes", "show who serves this queue, since when, doing what", "videod nodes")))
    text = "take no more messages, on all nodes or one; what runs goes on"
    pause = _json(_option(_verb(verbs, "pause", "nodes", text, "videod pause --node video1")))
    resume = _json(_option(_verb(verbs, "resume", "nodes", "take messages again", "videod resume")))
    for parser in (pause, resume):
        parser.add_argument("--node", metavar="NODE", type=_named, help="this node only")
