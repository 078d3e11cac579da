"""Uploads on disk: `<folder>/uploads/<token>/` holds `file` and `info.json`.

How much of a file is there is its size, so nothing is lost with the process, and several may serve one folder. Who
writes holds a lock on the file. Nothing of what a user sends becomes part of a path.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from videod.config.settings import Settings
from videod.errors import ConfigError
from videod.web.looks import limit_text
from videod.web.trouble import Trouble

TOKEN = re.compile(r"[A-Za-z0-9_-]{24}")
IDENT = re.compile(r"w[A-Za-z0-9_-]{24}")
FILE, INFO, LOCK = "file", "info.json", ".lock"
LONGEST_NAME = 255
# at once, of one user: each is a folder until it expires, and who uploads needs a few
MOST_UNFINISHED = 100
# so long after its last byte an upload counts as one that goes on
SENT_SECONDS = 600.0
FULL = "There is no room for this file here at the moment."
GOES_ON, LATER = "Try again later: it goes on from where it stopped.", "Try again later, or ask whoever runs this site."


@dataclass(frozen=True)
class Upload:
    """One upload. `length` in bytes, -1: not known yet. `job`: the id that its job will have. `made`: unix time."""

    token: str
    owner: str
    name: str
    length: int
    job: str
    made: float


class Part:
    """The file of an upload while it is written; its methods block."""

    def __init__(self, fd: int, least_free: int) -> None:
        self._fd, self._least_free = fd, least_free
        self.offset = os.fstat(fd).st_size

    def write(self, data: bytes) -> None:
        """Append; Trouble (507) where the disk is full."""
        room = os.fstatvfs(self._fd)
        if room.f_bavail * room.f_frsize < self._least_free + len(data):
            raise Trouble(507, FULL, GOES_ON)
        view = memoryview(data)
        with _room(GOES_ON):
            while view:
                written = os.pwrite(self._fd, view, self.offset)
                self.offset += written
                view = view[written:]

    def cut(self, offset: int) -> None:
        """Take back what was written behind `offset`."""
        os.ftruncate(self._fd, offset)
        self.offset = offset

    def head(self, most: int) -> bytes:
        """The first bytes."""
        return os.pread(self._fd, most, 0)

    def sync(self) -> None:
        """Let it survive a power cut."""
        os.fsync(self._fd)


class Store:
    """The folder of uploads, and that of results."""

    def __init__(self, settings: Settings) -> None:
        self._web, self._least_free = settings.web, settings.min_free
        # what was seen in the folder
        self._seen: dict[str, Upload] = {}
        self.folder = Path(settings.web.folder) / "uploads"
        self.results = Path(settings.web.folder) / "results"
        for folder in (self.folder, self.results):
            try:
                folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            except OSError as error:
                what = f"{settings.web.folder}: cannot be made: {error.strerror}"
                raise ConfigError(f"[web] folder: {settings.file}: {what}: choose another") from None

    def create(self, owner: str, name: str, length: int) -> Upload:
        """A new upload; `length` -1: not known yet. Trouble before a byte is taken: 413, 507, 429 where the owner has
        too many that are not whole."""
        self.fits(length)
        token, job = secrets.token_urlsafe(18), "w" + secrets.token_urlsafe(18)
        made = Upload(token, owner, shown_name(name), length, job, time.time())
        with self._alone(), _room(LATER):
            there = self._all()
            room = os.statvfs(self.folder)
            if room.f_bavail * room.f_frsize < self._least_free + max(length, 0) + self._coming(there):
                raise Trouble(507, FULL, LATER)
            self._few(upload.token for upload in there if upload.owner == owner)
            try:
                (self.folder / token).mkdir(mode=0o750)
                os.close(os.open(self.path(made), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
                self._note(made)
            except OSError:
                self.remove(token)
                raise
        return made

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Of all threads and processes on this folder: several who begin at the same moment are counted, too."""
        # no folder: over NFS who locks must be able to write
        fd = os.open(self.folder.parent / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _few(self, tokens: Iterable[str]) -> None:
        mine = [found for found in map(self.find, tokens) if found and self._unfinished(found)]
        if len(mine) >= MOST_UNFINISHED:
            what = f"{len(mine)} of your uploads are not finished."
            raise Trouble(429, what, "Go on with one, or wait until they expire.", {"Retry-After": "600"})

    def _all(self) -> list[Upload]:
        """As they were made; not one that is being made at this moment."""
        known = self._seen
        self._seen = {token: found for token in self.tokens() if (found := known.get(token) or self.find(token))}
        return list(self._seen.values())

    def _coming(self, uploads: Iterable[Upload]) -> int:
        """How many bytes of these are being sent; what nobody goes on with keeps no room from others."""
        since, coming = time.time() - SENT_SECONDS, 0
        for upload in uploads:
            with suppress(FileNotFoundError):
                status = self.path(upload).stat()
                coming += max(0, upload.length - status.st_size) if status.st_mtime > since else 0
        return coming

    def _unfinished(self, upload: Upload) -> bool:
        return upload.length < 0 or 0 <= self.offset(upload) < upload.length

    def fits(self, length: int) -> None:
        """Trouble (413) where a file is too large."""
        if self._web.max_upload and length > self._web.max_upload:
            raise Trouble(413, "This file is too large.", f"At most {limit_text(self._web.max_upload)} are taken.")

    def find(self, token: str) -> Upload | None:
        """The upload of a token; None where there is none."""
        if not TOKEN.fullmatch(token):
            return None
        try:
            return Upload(**json.loads((self.folder / token / INFO).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):  # or emptied by a power cut
            return None

    def path(self, upload: Upload) -> Path:
        """Where its file is."""
        return self.folder / upload.token / FILE

    def offset(self, upload: Upload) -> int:
        """How many bytes of it are there; -1 where it is gone."""
        try:
            return self.path(upload).stat().st_size
        except FileNotFoundError:
            return -1

    @contextmanager
    def part(self, upload: Upload) -> Iterator[Part]:
        """Its file, to write to; Trouble (423) while somebody else does, (404) where it is gone."""
        try:
            fd = os.open(self.path(upload), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Trouble(404, "This upload is gone.", "Begin again.") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Part(fd, self._least_free)
        except BlockingIOError:
            raise Trouble(423, "Another request writes to this upload.", "Try again in a moment.") from None
        finally:
            os.close(fd)

    def know_length(self, upload: Upload, length: int) -> Upload:
        """The upload with its length, which came last."""
        made = Upload(**{**asdict(upload), "length": length})
        self._note(made)
        return made

    def expires(self, upload: Upload) -> float:
        """When it goes if nobody goes on with it, in unix time."""
        with suppress(FileNotFoundError):
            return self.path(upload).stat().st_mtime + self._web.keep_uploads
        return upload.made

    def remove(self, token: str) -> None:
        """Take it away."""
        if TOKEN.fullmatch(token):
            shutil.rmtree(self.folder / token, ignore_errors=True)

    def tokens(self) -> list[str]:
        """Of all uploads that are there."""
        return [name for name in os.listdir(self.folder) if TOKEN.fullmatch(name)]

    def _note(self, upload: Upload) -> None:
        folder = self.folder / upload.token
        fresh = folder / f".{INFO}"
        fresh.write_text(json.dumps(asdict(upload)))
        fresh.replace(folder / INFO)


@contextmanager
def _room(do: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # also where a quota of the disk or its inodes are used up, which statvfs does not tell
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Trouble(507, FULL, do) from None


def shown_name(name: str) -> str:
    """The name of a file as its user gave it, without folders and what steers a terminal; never part of a path."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(char for char in last if char.isprintable()).strip()[:LONGEST_NAME]
    return kept.encode("utf-8", "replace").decode() or "video"
