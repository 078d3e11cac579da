"""Read a message wholly without doing anything: for the worker, and for `videod push`, which checks first."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from videod import kinds
from videod.config.settings import Settings
from videod.errors import BadMessage, Failure, ForbiddenSource, Internal, Permanent
from videod.job import Head, Job, head, read_job
from videod.message import guess, read_message
from videod.transfer import fetch


@dataclass(frozen=True)
class Order:
    """A sound message: the job, the kind and its params; `unknown` names fields that nobody knows."""

    job: Job
    kind: kinds.Kind
    params: Any
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A message that is wrong: what could be read of it, and the error."""

    head: Head
    error: Failure


def read(raw: bytes, ident: str | None, settings: Settings) -> Order | Rejected:
    """What a producer pushed, as an order or a rejection; `ident` is the id it was given before, if any."""
    known = Head(id=ident)
    try:
        values = read_message(raw)
    except BadMessage as error:
        told = head(guess(raw), settings)
        return Rejected(replace(told, id=ident or told.id), error)
    try:
        known = head(values, settings)
        if known.error:
            raise known.error
        job = read_job(values, ident or known.id or secrets.token_hex(16), settings)
        if job.callback:
            _check_callback(job.callback, settings, private=not job.public_only)
        kind = kinds.find(job.kind)
        params = kind.Params.read(job, settings)
    except Permanent as error:
        return Rejected(known, error)
    except Exception as error:  # a fault of ours: the message must end truthfully all the same
        return Rejected(known, Internal(f"{type(error).__name__}: {error}"))
    return Order(job, kind, params, tuple(job.fields.unknown()))


def _check_callback(address: str, settings: Settings, *, private: bool) -> None:
    try:
        fetch.check(address, settings, private=private)
    except ForbiddenSource as error:
        raise BadMessage(str(error), field="callback") from None
