"""Bring a result to where it belongs. Success means confirmed: size and content are known to be there.

    place = target(template, id=…, n=…, name=…, ext=…)      # pure; two places with one `key` are one
    check(place, settings)                                  # before any work
    sent = send(path, place, settings, tools)               # after it
    holds(place, {sha256: size}, settings, tools)           # is it there already?

Nothing is tried again here; that belongs to the job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

from videod.config import Settings
from videod.process import Tools
from videod.transfer.target import Sent, Target, beside, target

__all__ = ["Sent", "Target", "beside", "check", "send", "target"]


def check(place: Target, settings: Settings, *, private: bool = True) -> None:
    """Raise UploadDenied where it is plain before any work that `place` is not allowed, or not set up.

    `private` false keeps http uploads out of private networks.
    """
    _room(place.scheme).check(place, settings, private=private)


def send(
    path: Path,
    place: Target,
    settings: Settings,
    tools: Tools,
    *,
    overwrite: bool = True,
    private: bool = True,
    on_progress: Callable[[float], None] = lambda part: None,
) -> Sent:
    """Send the file `path` to `place` and confirm it; `on_progress` gets 0.0 to 1.0.

    Other content under the name is replaced at once as a whole; with `overwrite` false it is UploadDenied, and
    the same content a success. Raises UploadDenied, UploadFailed, DiskFull, Stalled, TimedOut, Cancelled.
    """
    tools.check()
    _room(place.scheme).check(place, settings, private=private)

    def on_part(part: float) -> None:  # all is sent before it is confirmed
        on_progress(min(part, 0.99))

    sent: Sent = _room(place.scheme).send(path, place, settings, tools, overwrite, private, on_part)
    on_progress(1.0)
    return sent


def holds(
    place: Target, contents: Mapping[str, int], settings: Settings, tools: Tools, *, private: bool = True
) -> bool:
    """Whether one of these contents, {SHA-256: size}, is what stands at `place`. Raises as `send`."""
    return any(_room(place.scheme).holds(place, settings, tools, private, content) for content in contents.items())


def _room(scheme: str) -> ModuleType:
    """The module that serves a scheme; each brings libraries that a job may never need."""
    name = {"file": "to_file", "http": "to_http", "https": "to_http", "rclone": "to_rclone"}.get(scheme, "to_store")
    return import_module(f"videod.transfer.{name}")
