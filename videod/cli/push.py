"""push: check a message, queue it, and wait for its end if asked to."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from pathlib import Path

from videod.cli.wait import Watch, report
from videod.cli.where import connect, place
from videod.config import Settings
from videod.errors import BadMessage, UsageError, VideodError
from videod.intake import Rejected, read
from videod.jobqueue import Connection
from videod.jobqueue.browse import Browse
from videod.jobqueue.producer import push as put
from videod.message import read_message

MOST = 2 << 20


def push(arguments: argparse.Namespace) -> int:
    """Queue one message and print its id; with --wait exit 0 when it ends done, else 1."""
    settings = place(arguments.config, arguments.env).settings
    raw = prepared(_message(arguments.message), settings)
    connection = connect(settings)
    watch = Watch(connection, settings, raw)
    ident = queue(connection, settings, raw)
    if not arguments.wait or not arguments.json:
        try:
            print(json.dumps({"id": ident}) if arguments.json else ident, flush=True)
        except OSError as error:
            raise VideodError(f"the job is queued, but stdout: {error.strerror}: {ident}: see videod show") from None
    if not arguments.wait:
        return 0
    record = watch.to_the_end(quiet=arguments.json)
    return report(record, as_json=arguments.json)


def _message(given: str) -> bytes:
    if given == "-":
        return sys.stdin.buffer.read(MOST)
    named = not given.lstrip().startswith(("{", '"')) and "://" not in given and Path(given).is_file()
    # a message in a file; what does not look like one is itself the video, by its path
    if named and (found := Path(given).read_bytes()[:MOST]).lstrip()[:1] in (b"{", b'"'):
        return found
    if named and not given.startswith("/"):
        raise UsageError(f"a file, not a message: {given}: give the full path of a video")
    return given.encode("utf-8", "surrogateescape")


def prepared(raw: bytes, settings: Settings) -> bytes:
    """The message with an id, after a check of every field; UsageError names what is wrong."""
    order = read(raw, None, settings)
    if isinstance(order, Rejected):
        bad = order.error.code == BadMessage.code
        raise UsageError(f"{order.error}: " + ("message: mend it, see man videod" if bad else "see videod.ini(5)"))
    if order.unknown:
        raise UsageError(f"unknown field {order.unknown[0]}: message: leave it out, or see man videod")
    values = read_message(raw)
    if "task_id" in values:
        return raw
    return json.dumps({"id": values.get("id") or secrets.token_hex(16), **values}).encode()


def queue(connection: Connection, settings: Settings, raw: bytes) -> str:
    """Put a prepared message into its list; its id."""
    order = read(raw, None, settings)
    if isinstance(order, Rejected):
        raise UsageError(f"{order.error}: message: mend it")
    node = order.job.node
    if node and node not in Browse(settings, connection).nodes():
        print(f"videod: node {node} has never served here: the message waits for it", file=sys.stderr)
    put(connection, settings, raw, node=node, batch=order.job.id.startswith("batch:"))
    return order.job.id
