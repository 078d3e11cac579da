"""Object stores: which of them messages may name, how they are opened, what their errors mean.

An address is `s3://BUCKET/KEY`, `gs://BUCKET/KEY` or `az://CONTAINER/KEY`; the key is taken as it stands, not
decoded. obstore is an optional extra and is imported when the first such address comes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from videod.config import Settings, Storage
from videod.errors import Failure, ForbiddenSource, Permanent
from videod.redact import hide

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
PIECE = 8 << 20
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True)
class Place:
    """An object: `scheme`, bucket, key, and the section that opens its store."""

    scheme: str
    bucket: str
    key: str
    storage: Storage

    @property
    def text(self) -> str:
        """Its address."""
        return f"{self.scheme}://{self.bucket}/{self.key}"


def place(address: str, settings: Settings, refuse: type[Permanent] = ForbiddenSource) -> Place:
    """The object at `address`; `refuse` is raised where the settings do not allow it or it is malformed."""
    scheme, _, rest = address.partition("://")
    bucket, _, key = rest.partition("/")
    scheme = scheme.lower()
    storage = settings.storage.get(scheme)
    if storage is None:
        raise refuse(f"no such storage: {scheme}: set it up in [storage {scheme}]")
    if not _BUCKET.fullmatch(bucket) or not _good_key(key):
        raise refuse(f"no address of an object: {address[:200]!r}: use {scheme}://bucket/folder/name")
    if not allowed(bucket, storage):
        raise refuse(f"this bucket may not be named: {bucket}: add it to buckets in [storage {scheme}]")
    return Place(scheme, bucket, key, storage)


def allowed(bucket: str, storage: Storage) -> bool:
    """Whether `buckets` names it."""
    return any(fnmatchcase(bucket, pattern) for pattern in storage.buckets)


def _good_key(key: str) -> bool:
    # an empty part or a dot would be another object's name, or nobody's, depending on the store
    return len(key.encode()) <= 1024 and all(part not in ("", ".", "..") for part in key.split("/"))


def open_store(where: Place, seconds: float, refuse: type[Permanent] = ForbiddenSource) -> ObjectStore:
    """The store of a place; `seconds` is the longest that one request (up to 8 MiB) may take.

    `refuse` is raised where obstore is missing or the section makes no sense.
    """
    storage = where.storage
    limit = timedelta(seconds=seconds or 3600.0)
    client = {"timeout": limit, "connect_timeout": timedelta(seconds=20), "allow_http": storage.allow_http}
    retry = {"max_retries": 3, "retry_timeout": limit}
    try:
        from obstore import store as stores
        from obstore.exceptions import BaseError
    except ImportError:
        raise refuse(f"obstore is not installed: {where.scheme}: pip install 'videod[s3]'") from None
    kinds = {"s3": stores.S3Store, "gs": stores.GCSStore, "az": stores.AzureStore}
    kind: Any = kinds[where.scheme]
    try:
        made = kind(where.bucket, config=_config(where.scheme, storage), client_options=client, retry_config=retry)
    except (BaseError, ValueError) as error:
        raise refuse(f"cannot open the storage: [storage {where.scheme}]: {first_line(error)}") from None
    return made  # type: ignore[no-any-return]


def _config(scheme: str, storage: Storage) -> dict[str, str | bool]:
    if scheme == "gs":
        made: dict[str, str | bool] = {"service_account": storage.service_account, "base_url": storage.endpoint}
    elif scheme == "az":
        made = {"account_name": storage.access_key, "account_key": storage.secret_key, "endpoint": storage.endpoint}
    else:
        made = {
            "access_key_id": storage.access_key,
            "secret_access_key": storage.secret_key,
            "session_token": storage.session_token,
            "region": storage.region or "us-east-1",
            "endpoint": storage.endpoint,
            # the server refuses a part that was damaged on its way
            "checksum_algorithm": "sha256",
        }
    return {key: value for key, value in made.items() if value}


def failure(
    error: Exception, where: Place, broken: type[Failure], gone: type[Failure], denied: type[Failure]
) -> Failure:
    """What an error of obstore means: not there, no permission, or anything else, which may pass."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    kind = broken
    if isinstance(error, FileNotFoundError):
        kind = gone
    elif isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        kind = denied
    return kind(f"{where.scheme} storage: {where.text}: {first_line(error)}")


def first_line(error: Exception) -> str:
    """The readable part of an error of obstore."""
    return hide(str(error).partition("\n")[0])[:300]
