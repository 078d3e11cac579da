"""Where one output goes: an upload template with its fields filled in, in a form that cannot leave its base."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from videod.config.values import file_path
from videod.errors import BadMessage, UploadDenied
from videod.transfer.urls import safe_name

SCHEMES = ("file", "http", "https", "s3", "gs", "az", "rclone")
DEFAULT_NAME = "{id}-{n}.{ext}"
_FIELD = re.compile(r"\{([^{}]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True)
class Target:
    """One place for one output. `address` may hold secrets, `url` is what events show.

    Two targets with the same `key` are one place.
    """

    scheme: str
    address: str = field(repr=False)
    url: str
    key: str = field(repr=False)

    @property
    def path(self) -> str:
        """The path of a `file:` target."""
        return self.address.removeprefix("file:") if self.scheme == "file" else ""


@dataclass(frozen=True)
class Sent:
    """A confirmed upload: where it is to be found, its size, its SHA-256 in hex."""

    url: str
    bytes: int
    sha256: str


def target(template: str, *, id: str, n: int, name: str, ext: str) -> Target:
    """The place that `template` means for output `n` (1, 2, …) of job `id`.

    `name` is the source's (`name_of`), `ext` the extension without dot. Raises BadMessage (field `upload`) for
    an unknown {field} or scheme, UploadDenied for a path with `..` in it.
    """
    if _CONTROL.search(template):
        raise BadMessage("holds control characters or a backslash", field="upload")
    scheme = "file" if template.startswith("/") else template.partition(":")[0].lower()
    if scheme not in SCHEMES:
        raise BadMessage(f"is no address of {', '.join(SCHEMES)}", field="upload")
    values = {
        "id": re.sub(r"[^A-Za-z0-9._:-]", "_", id),
        "n": str(n),
        "name": safe_name(name),
        "ext": re.sub(r"[^A-Za-z0-9]", "", ext),
    }
    made = {"file": _file, "http": _http, "https": _http}.get(scheme, _other)(template, values)
    if any(part in (".", "..") for part in unquote(made.url).split("/")):
        raise UploadDenied(f"a path with . or .. in it: {made.url[:200]}: write the folder as it is")
    return made


def beside(template: str, end: str) -> str:
    """The template of what stands beside an output: under its name, with `end` in place of its extension."""
    path, mark, query = template.partition("?")
    return os.path.splitext(_named(path))[0] + end + mark + query


def _fill(text: str, values: Mapping[str, str], literal: Callable[[str], str], value: Callable[[str], str]) -> str:
    """`text` with its fields replaced; `literal` is applied to what lies between, `value` to what is put in."""
    pieces = _FIELD.split(text)
    for i, piece in enumerate(pieces):
        if i % 2 and piece not in values:
            raise BadMessage(f"unknown field {{{piece[:40]}}}: use {{id}}, {{n}}, {{name}} or {{ext}}", field="upload")
        if not i % 2 and ("{" in piece or "}" in piece):
            raise BadMessage("has a brace that belongs to no field", field="upload")
        pieces[i] = value(values[piece]) if i % 2 else literal(piece)
    return "".join(pieces)


def _named(text: str) -> str:
    return text + DEFAULT_NAME if text.endswith("/") else text


def _same(text: str) -> str:
    return text


def _file(template: str, values: Mapping[str, str]) -> Target:
    # decoded before the fields are filled in: a name that holds %2e keeps it
    path = _fill(_named(file_path(template)), values, lambda text: unquote(text, errors="surrogateescape"), _same)
    if not path.startswith("/") or "\0" in path:
        raise BadMessage("is no absolute path of this machine: use file:///folder/", field="upload")
    path = re.sub(r"/+", "/", path)
    return Target("file", "file:" + path, "file://" + quote(path, errors="surrogateescape"), "file:" + path)


def _http(template: str, values: Mapping[str, str]) -> Target:
    template = template.partition("#")[0]
    path, mark, query = template.partition("?")
    path = _named(path if path.count("/") > 2 else path + "/")
    path = _fill(path, values, _same, lambda text: quote(text, safe=""))
    query = _fill(query, values, _same, lambda text: quote(text, safe=""))
    scheme, _, rest = path.partition("://")
    host, _, tail = rest.partition("/")
    bare = f"{scheme.lower()}://{host.rpartition('@')[2].lower()}/{tail}"
    return Target(scheme.lower(), path + mark + query, bare, bare + mark + query)


def _other(template: str, values: Mapping[str, str]) -> Target:
    address = _fill(_named(template), values, _same, _same)
    scheme, _, rest = address.partition(":")
    address = f"{scheme.lower()}:{rest}"
    return Target(scheme.lower(), address, address, address)
