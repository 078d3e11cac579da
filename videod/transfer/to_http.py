"""Upload by PUT, to a presigned address for instance: the query is sent and never shown.

A 2xx is the confirmation. Many servers ignore `If-None-Match`, so with `overwrite` false the address is looked
at first; between that look and the PUT another writer may still come in there.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from videod.config import Settings
from videod.errors import Failure, FetchFailed, ForbiddenSource, UploadDenied, UploadFailed
from videod.process import Tools
from videod.transfer.body import Broken, pieces
from videod.transfer.guard import Guard
from videod.transfer.http import Http
from videod.transfer.sources import source_of
from videod.transfer.target import Sent, Target
from videod.transfer.urls import Url, check_url, redirected

MAX_HOPS = 5
TYPES = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "ts": "video/mp2t",
    "jpg": "image/jpeg",
}


class _File(io.RawIOBase):
    """The file as it is sent: each piece looks at the job's token and deadline, is hashed and counted. `whole` when the
    last piece has been sent, too."""

    def __init__(self, file: IO[bytes], size: int, tools: Tools, on_progress: Callable[[float], None]) -> None:
        self._file, self._size, self._tools, self._on_progress = file, size, tools, on_progress
        self._sent = 0
        self.whole = False
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """The next piece."""
        self._tools.check()
        piece = self._file.read(size)
        self.whole = not piece
        self.digest.update(piece)
        self._sent += len(piece)
        self._on_progress(min(self._sent / (self._size or 1), 1.0))
        return piece


def check(place: Target, settings: Settings, *, private: bool) -> None:
    """See upload.check."""
    try:
        url = check_url(place.address)
        Guard.of(settings, private=private).check(url.host, url.port)
    except ForbiddenSource as error:
        raise UploadDenied(str(error)) from None


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
    url, size = check_url(place.address), path.stat().st_size
    with _client(place, url, settings, tools, private) as client:
        if not overwrite and (found := _there(client, url, size)):
            return Sent(place.url, size, _same(found, path, place))
        digest = _put(client, url, path, size, tools, overwrite, on_progress)
        if digest:
            return Sent(place.url, size, digest)
        return Sent(place.url, size, _same(_there(client, url, size) or "unknown", path, place))


def holds(place: Target, settings: Settings, tools: Tools, private: bool, content: tuple[str, int]) -> bool:
    """See upload.holds."""
    url = check_url(place.address)
    with _client(place, url, settings, tools, private) as client:
        return _there(client, url, content[1]) == content[0]


@contextmanager
def _client(place: Target, url: Url, settings: Settings, tools: Tools, private: bool) -> Iterator[Http]:
    wait = min(tools.stall_timeout or 120.0, 120.0)
    # of [source HOST] only the certificates: its secrets are for reading
    ca_file = source_of(url, settings.sources).ca_file
    try:
        guard = Guard.of(settings, private=private)
        with Http(guard, ca_file=ca_file, connect=wait, read=wait, check=tools.check) as client:
            yield client
    except ForbiddenSource as error:  # a redirect inward
        raise UploadDenied(str(error)) from None
    except (Broken, FetchFailed) as error:
        raise UploadFailed(f"the upload broke off: {place.url}: {error}") from None


def _put(
    client: Http,
    url: Url,
    path: Path,
    size: int,
    tools: Tools,
    overwrite: bool,
    on_progress: Callable[[float], None],
) -> str:
    """PUT the file, through redirects that keep the method; its SHA-256, or empty when the name is taken."""
    for _ in range(MAX_HOPS + 1):
        with open(path, "rb") as file:
            body = _File(file, size, tools, on_progress)
            with client.request("PUT", url, _headers(url, size, overwrite), body) as response:
                if response.status in (307, 308) and response.headers.get("Location"):
                    url = redirected(url, response.headers["Location"])
                    continue
                if 200 <= response.status < 300:
                    if not body.whole:
                        raise Broken(f"it answered {response.status} before it had the whole file")
                    return body.digest.hexdigest()
                if not overwrite and response.status in (409, 412):
                    return ""
                raise _refused(response.status, url)
    raise UploadFailed(f"more than {MAX_HOPS} redirects: {url.shown}: ask who runs the server")


def _headers(url: Url, size: int, overwrite: bool) -> dict[str, str]:
    headers = {"Content-Length": str(size)}
    kind = TYPES.get(url.target.rpartition(".")[2].lower())
    if kind and "?" not in url.target:  # a signed address may have been signed without
        headers["Content-Type"] = kind
    return headers if overwrite else {**headers, "If-None-Match": "*"}


def _there(client: Http, url: Url, size: int) -> str:
    """The SHA-256 of what is at `url`; `other` for another size, empty when nothing is seen there."""
    with client.request("HEAD", url) as response:
        if response.status != 200:
            return ""
        if response.headers.get("Content-Length", str(size)) != str(size):
            return "other"
    digest, came = hashlib.sha256(), 0
    with client.request("GET", url) as response:
        if response.status != 200:
            return "unreadable"
        for piece in pieces(response):
            came += len(piece)
            digest.update(piece)
            if came > size:
                return "other"
    return digest.hexdigest()


def _same(found: str, path: Path, place: Target) -> str:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise UploadDenied(f"other content is there already: {place.url}: overwrite is false")
    return digest


def _refused(status: int, url: Url) -> Failure:
    text = f"the server answered {status} to the upload: {url.shown}"
    if 300 <= status < 500 and status not in (408, 409, 423, 425, 429):
        return UploadDenied(f"{text}: see whether it may be written there")
    return UploadFailed(text)
