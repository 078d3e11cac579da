"""Names of downloaded files, as producers send them: safe below their folder, and no two in each other's way."""

from __future__ import annotations

import re
from urllib.parse import unquote
from zlib import crc32

from videod.errors import BadMessage

MOST_BYTES = 255
LONGEST = 4096
PART, NOTE = ".part", ".part.note"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EXTENSION = re.compile(r"\.\w{1,8}", re.ASCII)


class FileNames:
    """The names of one job's files. What stands in another's way is refused, be it first or not."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._kept: set[str] = set()
        self._folders: set[str] = set()

    def take(self, name: str, address: str = "") -> str:
        """`name` as a path below the folder, with the extension of `address` where it has no dot.

        Raises BadMessage for a name that may not be, or is taken.
        """
        made = _checked(_extended(name, address))
        kept, parents = beside(made), made.split("/")[:-1]
        above = {"/".join(parents[: n + 1]) for n in range(len(parents))}
        if made in self._files:
            raise BadMessage("another file of this job has this name")
        if made in self._kept or not self._files.isdisjoint(kept):
            raise BadMessage("another file of this job is written under this name")
        blocked = any(folder in self._files or folder in self._kept for folder in above)
        if blocked or not self._folders.isdisjoint((made, *kept)):
            raise BadMessage("a file and a folder of this job have one name")
        self._files.add(made)
        self._kept.update(kept)
        self._folders |= above
        return made


def beside(path: str) -> tuple[str, str]:
    """What stands beside a file while it comes: what is there of it, and a note on what that is."""
    folder, slash, name = path.rpartition("/")
    if len(name.encode()) + len(NOTE) > MOST_BYTES:
        while len(name.encode()) + len(NOTE) + 10 > MOST_BYTES:
            name = name[:-1]
        name = f"{name}~{_sum(path):08x}"
    return folder + slash + name + PART, folder + slash + name + NOTE


def _sum(text: str) -> int:
    return crc32(text.encode())


def _checked(name: str) -> str:
    if not name:
        raise BadMessage("the name is empty")
    if _CONTROL.search(name):
        raise BadMessage("the name holds control characters")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise BadMessage("the name holds half a surrogate pair") from None
    if name.startswith("/"):
        raise BadMessage("the name is an absolute path")
    for part in name.split("/"):
        if part in ("", ".", ".."):
            raise BadMessage(f"a part of the name is {part!r}" if part else "a part of the name is empty")
        if len(part.encode()) > MOST_BYTES:
            raise BadMessage(f"a part of the name has more than {MOST_BYTES} bytes")
    if size > LONGEST:
        raise BadMessage(f"the name has more than {LONGEST} bytes")
    return name


def _extended(name: str, address: str) -> str:
    if not name or name.endswith("/") or "." in name.rpartition("/")[2]:
        return name
    return name + extension(address)


def extension(address: str) -> str:
    """That of the last part of an address' path, with its dot; empty where it has none."""
    path = address.partition("#")[0].partition("?")[0].partition("://")[2] or address
    last = unquote(path.partition("/")[2]).rpartition("/")[2]
    found = _EXTENSION.fullmatch(last[last.rfind(".") :]) if "." in last[1:] else None
    return found[0] if found else ""
