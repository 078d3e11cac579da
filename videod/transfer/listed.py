"""The files that a message lists: which may be, under which names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from videod.config import Settings
from videod.errors import BadMessage, Denied, ForbiddenSource, NotFound
from videod.fields import Fields
from videod.transfer import fetch
from videod.transfer.filenames import FileNames

MOST_FILES = 50000
# hosts that are looked up before the job begins
MOST_HOSTS = 16
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class File:
    """One file: `name` as it was sent, `path` below its folder; `wrong` says why it may not be, '' if it may."""

    n: int
    url: str
    name: str
    path: str
    sha256: str = ""
    wrong: str = ""


def files_of(fields: Fields, name: str, named: str) -> tuple[File, ...]:
    """The files in the field `name`, whose names stand in `named` each. A name that may not be is the fault of its
    file alone; BadMessage where a field is missing or of another type."""
    found = fields.objects(name, MOST_FILES)
    if found is None:
        raise fields.bad(name, "is missing")
    names, files = FileNames(), []
    for n, entry in enumerate(found, 1):
        called, url = entry.raw(named), entry.raw("url")
        for field, value in ((named, called), ("url", url)):
            if not isinstance(value, str):
                raise entry.bad(field, "is missing" if value is None else "is not a text")
        sha256 = entry.text("sha256", 64) or "" if named == "name" else ""
        if sha256 and not _SHA256.fullmatch(sha256):
            raise entry.bad("sha256", "is not 64 hexadecimal digits")
        try:
            files.append(File(n, url, called, names.take(called, url), sha256.lower()))
        except BadMessage as error:
            files.append(File(n, url, called, "", wrong=f"{error.code}: {error}"))
    return tuple(files)


def check(files: Sequence[File], settings: Settings, *, private: bool = True) -> None:
    """Refuse early what is plain; ForbiddenSource names the field."""
    hosts = set[str]()
    for file in files:
        try:
            if file.url.lower().startswith(("http:", "https:")):
                host = urlsplit(file.url).netloc.rpartition("@")[2]
                if host in hosts or len(hosts) >= MOST_HOSTS:
                    continue
                hosts.add(host)
            fetch.check(file.url, settings, private=private)
        except (ForbiddenSource, ValueError) as error:
            raise ForbiddenSource(f"files[{file.n - 1}].url: {error}") from None
        except (NotFound, Denied):
            pass  # it may be there when its turn comes
