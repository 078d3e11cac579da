"""One attempt at one job: its scratch folder, its tools, its kind, and what became of it.

The class of an error decides the outcome (errors.py). No Redis here: what is told goes through `Tell`.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videod.cancel import Cancel
from videod.config.settings import Settings
from videod.context import Context
from videod.errors import Cancelled, DiskFull, EncodeFailed, Failure, Internal, ToolMissing, VideodError, as_event
from videod.events import Output
from videod.intake import Order
from videod.logs import JobLog
from videod.process import Guardian, Limits, Tools
from videod.progress import Progress, Tell
from videod.redact import hide


@dataclass(frozen=True)
class Outcome:
    """How the attempt ended: `state` is the final event, `more` its fields, `seconds` how long it took."""

    state: str
    more: dict[str, Any]
    seconds: float
    stage: str = ""
    outputs: tuple[Output, ...] = field(default=())


def folder_of(settings: Settings) -> Path:
    """Where the scratch folders of this node's jobs are."""
    return Path(settings.work_dir) / settings.node


def attempt(
    order: Order,
    settings: Settings,
    guardian: Guardian,
    cancel: Cancel,
    log: JobLog,
    tell: Tell,
    tell_output: Callable[[Output], None],
) -> Outcome:
    """Do what the order says. Raises only Cancelled (the message was given back) and RedisAway of the tells."""
    started, spent = time.monotonic(), time.thread_time()
    scratch: Path | None = None
    progress, outputs = Progress(tell), list[Output]()
    try:
        scratch = _scratch(order.job.id, settings)
        tools = _tools(order, settings, guardian, cancel, log, scratch)
        ctx = Context(order.job, settings, scratch, tools, log, progress, tell_output, outputs=outputs)
        order.kind.run(order.params, ctx)
    except Cancelled:
        raise
    except Exception as error:
        failure = failure_of(error, progress.stage)
        log.error(f"{failure.code}: {failure}", trace=isinstance(failure, Internal))
        if failure.detail:
            log.error(failure.detail)
        return Outcome("dead", {"error": as_event(failure)}, time.monotonic() - started, progress.stage, tuple(outputs))
    finally:
        if scratch:
            _clear(scratch)
    seconds = round(time.monotonic() - started, 3)
    more = {
        "outputs": [output.as_dict() for output in outputs],
        "seconds": seconds,
        "fetched_bytes": ctx.fetched_bytes,
        "cpu_seconds": round(tools.cpu_seconds + time.thread_time() - spent, 3),
    }
    return Outcome("done", more, seconds, progress.stage, tuple(outputs))


def _scratch(ident: str, settings: Settings) -> Path:
    scratch = folder_of(settings) / ident
    try:
        scratch.mkdir(mode=0o700)
    except FileExistsError:  # of an attempt whose daemon was killed
        shutil.rmtree(scratch)
        scratch.mkdir(mode=0o700)
    except FileNotFoundError:
        scratch.mkdir(mode=0o700, parents=True)
    return scratch


def _clear(scratch: Path) -> None:
    try:
        scratch.rmdir()  # empty, as most are by now: a fifth of the cost of looking
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)


def _tools(order: Order, settings: Settings, guardian: Guardian, cancel: Cancel, log: JobLog, scratch: Path) -> Tools:
    timeout = order.job.timeout
    return Tools(
        guardian,
        cancel,
        scratch,
        Limits(memory=settings.memory_per_job, nice=settings.nice, file_size=settings.max_source_bytes),
        deadline=time.monotonic() + timeout if timeout else None,
        stall_timeout=settings.stall_timeout,
        log=log.debug,
    )


def failure_of(error: Exception, stage: str) -> Failure:
    """The failure that an exception means; its stage filled in where the raiser did not know it."""
    if isinstance(error, EncodeFailed) and "No space left on device" in error.detail:
        error = DiskFull("no space left for the result: work_dir: make room", detail=error.detail)
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        error = DiskFull(f"no space left: {error.filename or 'work_dir'}: make room")
    elif isinstance(error, ToolMissing):
        error = Internal(str(error))
    if not isinstance(error, Failure):
        shown = str(error) if isinstance(error, VideodError) else f"{type(error).__name__}: {error}"
        error = Internal(hide(shown))
    error.stage = error.stage or stage
    return error
