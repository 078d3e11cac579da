"""One attempt at one job: its scratch folder, its tools, its kind, and what became of it.

The class of an error decides the outcome (errors.py). No Redis here: what is told goes through `Tell`.
"""

from __future__ import annotations

import errno
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from videod.backoff import delay_after
from videod.cancel import Cancel
from videod.config.settings import Settings
from videod.context import Book, Context, NoTurn, Turn
from videod.errors import (
    Cancelled,
    DiskFull,
    EncodeFailed,
    Failure,
    Internal,
    Temporary,
    ToolMissing,
    Unfit,
    VideodError,
    as_event,
)
from videod.events import Output
from videod.intake import Order
from videod.limits import Limits
from videod.logs import JobLog
from videod.process import Guardian, Tools, pause
from videod.progress import Progress, Tell
from videod.redact import hide
from videod.shared import Shared
from videod.spent import Spent

UNFIT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOENT, errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True)
class Outcome:
    """How the attempt ended: `state` is the event, `more` its fields, `spent` what it took; None: there was none.

    `failure` is why, `delay` (seconds) when to try again, `tool_crashes` how often a tool of the job was killed.
    """

    state: str
    more: dict[str, Any]
    spent: Spent | None
    stage: str = ""
    outputs: tuple[Output, ...] = field(default=())
    failure: Failure | None = None
    delay: float = 0.0
    tool_crashes: int = 0


def again(outcome: Outcome, number: int, most: int, settings: Settings) -> Outcome:
    """The outcome of attempt `number` of at most `most`: a retry where the class of its failure allows one more."""
    failure = outcome.failure
    if not isinstance(failure, Temporary) or number >= most or 0 < failure.most <= outcome.tool_crashes:
        return outcome
    return replace(outcome, state="retry", delay=delay_after(number, settings.retry_delay))


def folder_of(settings: Settings) -> Path:
    """Where the scratch folders of this node's jobs are."""
    return Path(settings.work_dir, settings.node)


def attempt(
    order: Order,
    settings: Settings,
    guardian: Guardian,
    shared: Shared,
    cancel: Cancel,
    log: JobLog,
    tell: Tell,
    tell_output: Callable[[Output], None],
    fence: Callable[[], None],
    book: Book | None = None,
    turn: Turn | None = None,
) -> Outcome:
    """Do what the order says. Raises only Cancelled (see Cancel), and RedisAway of the tells."""
    scratch = Scratch(order.job.id, settings)
    tools, progress = _tools(order, settings, guardian, shared, cancel, log, scratch), Progress(tell)
    ctx = Context(order.job, settings, tools, log, progress, tell_output, fence, shared.cache)
    ctx.connections, ctx.space, ctx.book = shared.connections, shared.space, book or ctx.book
    ctx.turn = turn or NoTurn()
    meter = _Meter(ctx)
    try:
        order.kind.run(order.params, ctx)
    except Cancelled as over:
        over.spent = meter.read()
        raise
    except Exception as raised:
        failure = failure_of(raised, progress.stage, settings.secret_values)
        log.error(f"{failure.code}: {failure}", trace=type(failure) is Internal)
        if failure.detail:
            log.error(failure.detail)
        error = {"error": as_event(failure)}
        return Outcome("dead", error, meter.read(), progress.stage, tuple(ctx.outputs), failure)
    finally:
        # a process that left its group would stay as long as the daemon does
        if scratch.made and (strays := tools.sweep()):
            log.warn(f"killed {strays} processes that a tool had left behind")
        scratch.clear()
        shared.space.release(scratch.path)
    took, outputs = meter.read(), sorted(ctx.outputs, key=lambda output: output.n)
    told = [output.as_dict() for output in outputs]
    return Outcome("done", {"outputs": told, **took.event()}, took, progress.stage, tuple(outputs))


class _Meter:
    """Of one attempt, whose thread makes and reads it."""

    def __init__(self, ctx: Context) -> None:
        self._ctx, self._began, self._busy = ctx, time.monotonic(), time.thread_time()

    def read(self) -> Spent:
        """What it took until now."""
        ctx = self._ctx
        sent = sum(output.bytes for output in ctx.outputs)
        seconds = time.monotonic() - self._began
        cpu = ctx.tools.cpu_seconds + time.thread_time() - self._busy
        return Spent(round(seconds, 3), ctx.progress.seconds(), ctx.fetched_bytes, sent, round(cpu, 3))


class Scratch:
    """The scratch folder of an attempt: made when first needed, gone at its end.

    Its name is that of the job and a random part: after a lost lease the next attempt of the same job may begin
    while this one still ends.
    """

    def __init__(self, ident: str, settings: Settings) -> None:
        self.path = folder_of(settings) / f"{ident}.{secrets.token_hex(4)}"
        self.made = False

    def make(self) -> None:
        """Make it, empty and private."""
        if not self.made:
            self.path.mkdir(mode=0o700, parents=True)
            self.made = True

    def clear(self) -> None:
        """Remove it with all that is in it."""
        if self.made:
            shutil.rmtree(self.path, ignore_errors=True)


def _tools(
    order: Order,
    settings: Settings,
    guardian: Guardian,
    shared: Shared,
    cancel: Cancel,
    log: JobLog,
    scratch: Scratch,
) -> Tools:
    timeout = order.job.timeout
    tools = Tools(
        guardian,
        cancel,
        scratch.path,
        Limits(memory=settings.memory_per_job, nice=settings.nice, file_size=settings.max_source_bytes),
        deadline=time.monotonic() + timeout if timeout else None,
        stall_timeout=settings.stall_timeout,
        log=log.debug,
        prepare=scratch.make,
    )
    # a room that held the tools, which hold it, would stay until Python looks for cycles
    tools.room = shared.space.room(scratch.path, partial(pause, cancel, tools.deadline))
    tools.slots = shared.slots
    return tools


def failure_of(error: Exception, stage: str, secrets: tuple[str, ...]) -> Failure:
    """The failure that an exception means; its stage filled in where the raiser did not know it, secrets hidden."""
    if isinstance(error, EncodeFailed) and "No space left on device" in error.detail:
        error = DiskFull("no space left for the result: work_dir: make room", detail=error.detail)
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        error = DiskFull(f"no space left: {error.filename or 'work_dir'}: make room")
    elif isinstance(error, ToolMissing):
        error = Unfit(str(error))
    elif isinstance(error, OSError) and error.errno in UNFIT and error.filename:
        error = Unfit(hide(f"{error.strerror}: {error.filename}: see to it that videod may write there"))
    if not isinstance(error, Failure):
        shown = str(error) if isinstance(error, VideodError) else f"{type(error).__name__}: {error}"
        error = Internal(hide(shown))
    error.stage = error.stage or stage
    error.message, error.detail = hide(error.message, secrets), hide(error.detail, secrets)
    return error
