"""Upload to whatever rclone reaches: `rclone:REMOTE:path`, the remote from the file that the settings name.

Measured with rclone 1.60: `copyto` preallocates under the final name and leaves that behind when it fails,
and `--immutable` does not keep it from replacing other content. So where the remote can rename, the upload
gets a hidden name first, and what counts in the end is a look at size and checksum.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from videod.config import Settings
from videod.errors import DiskFull, Failure, Stalled, UploadDenied, UploadFailed
from videod.process import Result, Tools
from videod.transfer.digests import digests
from videod.transfer.target import Sent, Target

KINDS = ("sha256", "sha1", "md5")
_ADDRESS = re.compile(r"rclone:([A-Za-z0-9_][A-Za-z0-9_.+@ -]*):(.+)")
_FULL = re.compile(r"no space left|disk quota|remaining disk space|quota exceeded|storage full", re.IGNORECASE)
_DENIED = re.compile(
    r"didn't find section|permission denied|access ?denied|forbidden|unauthori[sz]ed|\b40[13]\b|is a directory"
    r"|unable to authenticate|read-only",
    re.IGNORECASE,
)
_ABSENT = (3, 4)  # directory not found, file not found


@dataclass(frozen=True)
class _There:
    """What lies under a name: its size, -1 for a folder, and its checksums."""

    size: int
    hashes: dict[str, str]


@dataclass(frozen=True)
class _Features:
    """What a remote can: rename; whether its folders are but parts of names; the checksums it keeps."""

    renames: bool
    bucket_based: bool
    kinds: tuple[str, ...]


@dataclass
class _Remote:
    """rclone with the settings' configuration, run by the job's tools."""

    config: str
    tools: Tools

    def run(self, *words: str, on_line: Callable[[str], None] | None = None) -> Result:
        """One command. Its configuration holds the secrets; its argv none."""
        argv = ["rclone", f"--config={self.config}", "--ask-password=false", "--retries=1", "--low-level-retries=1"]
        argv += ["--contimeout=20s", f"--timeout={self.tools.stall_timeout or 3600:g}s", *words]
        return self.tools.run(argv, on_error_line=on_line, may_fail=True)

    def features(self, remote: str) -> _Features:
        """Ask rclone, which asks nobody."""
        found = json.loads(self.done(self.run("backend", "features", f"{remote}:"), f"{remote}:"))
        kinds = tuple(kind for kind in KINDS if kind in (found["Hashes"] or ()))
        return _Features(bool(found["Features"].get("Move")), bool(found["Features"].get("BucketBased")), kinds)

    def look(self, name: str, kinds: Sequence[str]) -> _There | None:
        """What is under a name; None when nothing is."""
        hashes = ["--hash", *(f"--hash-type={kind}" for kind in kinds)] if kinds else []
        result = self.run("lsjson", "--stat", *hashes, name)
        if result.code in _ABSENT:
            return None
        found: dict[str, Any] = json.loads(self.done(result, name))
        return _There(-1 if found["IsDir"] else found["Size"], found.get("Hashes") or {})

    def same(self, name: str, there: _There | None, size: int, wanted: dict[str, str]) -> bool:
        """Whether the content under a name is ours; read back where the remote keeps no checksum."""
        if there is None or there.size != size:
            return False
        for kind, value in there.hashes.items():
            if wanted.get(kind):
                return value.lower() == wanted[kind]
        result = self.run("hashsum", "sha256", "--download", name)
        return self.done(result, name).split()[:1] == [wanted["sha256"].encode()]

    @staticmethod
    def done(result: Result, name: str) -> bytes:
        """The output of a command that ended well; the failure that its words mean otherwise."""
        if result.code:
            raise _failure(result, name)
        return result.stdout


def check(place: Target, settings: Settings, *, private: bool) -> None:
    """See upload.check."""
    _split(place, settings)


def send(
    path: Path,
    place: Target,
    settings: Settings,
    tools: Tools,
    overwrite: bool,
    private: bool,
    on_progress: Callable[[float], None],
) -> Sent:
    """See upload.send."""
    remote, inner = _split(place, settings)
    rclone, name = _Remote(settings.storage["rclone"].config, tools), f"{remote}:{inner}"
    features = rclone.features(remote)
    kinds = features.kinds
    size, wanted = path.stat().st_size, digests(path, tools, "sha256", *kinds)
    before = rclone.look(name, () if overwrite else kinds)
    if before is not None and before.size < 0:
        if not features.bucket_based:
            raise UploadDenied(f"a folder has this name: {place.url}: choose another")
        before = None  # rclone takes any name that is not there for a folder
    if overwrite or before is None:
        _put(rclone, path, name, features.renames, overwrite, on_progress)
        before = rclone.look(name, kinds)
        if not rclone.same(name, before, size, wanted) and overwrite:
            raise UploadFailed(f"the remote holds something else than was sent: {place.url}: it will be tried again")
    if not overwrite and not rclone.same(name, before, size, wanted):
        raise UploadDenied(f"other content is there already: {place.url}: overwrite is false")
    return Sent(place.url, size, wanted["sha256"])


def holds(place: Target, settings: Settings, tools: Tools, private: bool, content: tuple[str, int]) -> bool:
    """See upload.holds."""
    remote, inner = _split(place, settings)
    rclone, name = _Remote(settings.storage["rclone"].config, tools), f"{remote}:{inner}"
    return rclone.same(name, rclone.look(name, rclone.features(remote).kinds), content[1], {"sha256": content[0]})


def _split(place: Target, settings: Settings) -> tuple[str, str]:
    """(remote, path); only names of remotes, no `:backend:` and no `remote,option=value`."""
    storage = settings.storage.get("rclone")
    found = _ADDRESS.fullmatch(place.address)
    if storage is None or not storage.config:
        raise UploadDenied("no such storage: rclone: set it up in [storage rclone] config")
    if not found:
        raise UploadDenied(f"no address of a remote: {place.url[:200]!r}: use rclone:REMOTE:path")
    if not any(fnmatchcase(found[1], pattern) for pattern in storage.buckets):
        raise UploadDenied(f"this remote may not be named: {found[1]}: add it to buckets in [storage rclone]")
    if not os.access(storage.config, os.R_OK):
        raise UploadDenied(f"cannot read rclone's configuration: {storage.config}: see [storage rclone] config")
    return found[1], found[2]


def _put(
    rclone: _Remote, path: Path, name: str, can_rename: bool, overwrite: bool, on_progress: Callable[[float], None]
) -> None:
    folder, slash, last = name.rpartition("/")
    if not slash:
        folder, slash, last = name.partition(":")[0], ":", name.partition(":")[2]
    hidden = f"{folder}{slash}.{last[:60]}.{secrets.token_hex(8)}.part" if can_rename else name
    how = "--ignore-times" if overwrite else "--ignore-existing"
    stats = ["--stats=500ms", "--stats-log-level=NOTICE", "--use-json-log"]
    watch = _Watch(on_progress, rclone.tools.stall_timeout)
    try:
        rclone.done(rclone.run("copyto", how, *stats, str(path), hidden, on_line=watch.line), name)
        if can_rename:
            rclone.done(rclone.run("moveto", how, hidden, name), name)
    except Failure:
        if can_rename:
            with suppress(Failure):
                rclone.run("deletefile", hidden)
        raise
    if can_rename and not overwrite and rclone.look(hidden, ()):  # the name was taken meanwhile
        rclone.run("deletefile", hidden)


class _Watch:
    """Reads rclone's statistics. They come while nothing moves, so that the stall watch of Tools sees none."""

    def __init__(self, on_progress: Callable[[float], None], stall_timeout: float) -> None:
        self._on_progress, self._stall_timeout = on_progress, stall_timeout
        self._bytes, self._moved = -1, time.monotonic()

    def line(self, text: str) -> None:
        """One line of its log."""
        with suppress(ValueError, KeyError, TypeError):
            stats = json.loads(text)["stats"]
            if stats["bytes"] != self._bytes:
                self._bytes, self._moved = stats["bytes"], time.monotonic()
                self._on_progress(min(stats["bytes"] / (stats["totalBytes"] or 1), 1.0))
        if self._stall_timeout and time.monotonic() - self._moved > self._stall_timeout:
            raise Stalled(f"rclone moved nothing for {self._stall_timeout:g} s")


def _failure(result: Result, name: str) -> Failure:
    line = result.tail.strip().rpartition("\n")[2]
    with suppress(ValueError, KeyError, TypeError):
        line = json.loads(line)["msg"]
    line = re.sub(r"^[0-9/]+ [0-9:]+ (ERROR : )?", "", " ".join(line.split()))[:300]
    kind: type[Failure] = UploadFailed
    if _FULL.search(result.tail):
        kind = DiskFull
    elif _DENIED.search(result.tail):
        kind = UploadDenied
    return kind(f"rclone: rclone:{name}: {line or f'ended with {result.code}'}", detail=result.tail)
