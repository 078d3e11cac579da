"""Local sources and targets: below the allowed folders, after resolving links."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from videod.config.values import file_path
from videod.errors import Denied, ForbiddenSource, NotFound, UploadDenied


def file_source(address: str, allow_paths: Iterable[str]) -> Path:
    """The real path of a `file:` address or plain path, percent-decoded once and links resolved.

    Raises ForbiddenSource outside of `allow_paths` or for what is no regular file, NotFound, Denied.
    """
    path = local_path(address)
    if not path:
        raise ForbiddenSource(f"no absolute path of this machine: {address[:200]!a}: use file:///folder/name")
    real = os.path.realpath(path)
    if not below(real, allow_paths):  # before any look at the file: what lies outside is not told apart
        raise ForbiddenSource(f"outside of the folders for sources: {path!r}: name its folder in allow_paths")
    try:
        mode = os.stat(real).st_mode
        if not stat.S_ISREG(mode):
            raise ForbiddenSource(f"no regular file: {path!r}: only files can be sources")
        os.close(os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"no such file: {path!r}: it must be there when the job runs") from None
    except OSError as error:
        raise Denied(f"cannot read the source: {path!r}: {error.strerror}") from None
    return Path(real)


def file_target(path: str, upload_paths: Iterable[str]) -> tuple[str, str]:
    """(allowed folder, path below it) of an upload, both with links resolved; UploadDenied outside."""
    folder, name = os.path.split(os.path.normpath(path))
    real = os.path.realpath(folder)
    base = below(real, upload_paths)
    if not base or name in ("", ".", ".."):
        raise UploadDenied(f"outside of the folders for results: {path!r}: name its folder in upload_paths")
    return base, os.path.relpath(os.path.join(real, name), base)


def local_path(address: str) -> str:
    """The absolute path that `file:` or a plain path means, decoded once; empty when there is none."""
    path = unquote(file_path(address), errors="surrogateescape")
    return path if path.startswith("/") and "\0" not in path else ""


def below(real: str, folders: Iterable[str]) -> str:
    """The folder, links resolved, that `real` lies in or is; empty when none."""
    for folder in folders:
        base = os.path.realpath(folder)
        if real == base or real.startswith(base.rstrip("/") + "/"):
            return base
    return ""
