"""Bytes under keys, on a folder or under `s3://bucket/prefix`, with the same promises on both.

A lake needs four things of what it stands on: read a key, write a key so that no reader ever sees
half of it, create a key *only if it is not there* (the one lock that a release needs, see
`cord.lake.releases.release`), and list keys. Delta tables and DuckDB reach the same place by their
own roads; a store hands them address and credentials, so that there is one place where those come
from: boto3's own chain (`AWS_*`, profiles, roles, `AWS_ENDPOINT_URL`). They are never logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from urllib.parse import unquote, urlsplit

from cord.errors import LakeAddressError, LakeError

Keys = list[str]
"""Keys relative to the lake, `/` between parts, sorted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies under a key."""

    bytes: int
    written_at: datetime
    """By the clock of whoever keeps it."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What a write that was cut off has left: nobody sees it as a key, but it takes room."""

    where: str
    """A file, or the key of a multipart upload."""
    since: datetime
    upload: str = ""
    """S3's name of the upload."""


class Store(Protocol):
    """Where a lake lives. Every method raises `LakeError` with a sentence for the user."""

    @property
    def root(self) -> str:
        """The lake's address as the user knows it: an absolute folder or `s3://bucket/prefix`."""
        ...

    @property
    def gather_s(self) -> float:
        """How long whoever writes many small keys may wait for more to go with one, at most; more
        where each takes a round trip and is paid for."""
        ...

    def read(self, key: str) -> bytes | None:
        """The whole content, or None where there is no such key."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Put the whole content there at once, over what was there."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Put it there only if the key is absent. False: somebody else's content is there."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Take these keys away; one that is not there is no error."""
        ...

    def list(self, prefix: str = "") -> Keys:
        """Every key that begins with `prefix` (a plain string prefix), sorted."""
        ...

    def entries(self, prefix: str = "") -> Mapping[str, Entry]:
        """What `list` lists, with size and time."""
        ...

    def unfinished(self) -> Iterable[Unfinished]:
        """Everything that writes which were cut off, or are still under way, have left."""
        ...

    def discard(self, unfinished: Unfinished) -> None:
        """Take it away; no error where it is gone already."""
        ...

    def digest(self, key: str) -> tuple[str, int] | None:
        """(sha256 in hexadecimal, size in bytes) read piece by piece; None where absent."""
        ...

    def uri(self, key: str) -> str:
        """The key's full address: a path or `s3://bucket/prefix/key`."""
        ...

    def explain(self, text: str, key: str) -> str | None:
        """The sentence for what deltalake or DuckDB said when it met trouble of this kind of store
        at `key`; None where the text tells of none."""
        ...

    def delta_options(self) -> dict[str, str]:
        """`storage_options` for deltalake: address and credentials as they are now."""
        ...

    def duckdb_secret(self) -> dict[str, str] | None:
        """Parameters of DuckDB's `CREATE SECRET (TYPE s3, ...)`; None where none is needed."""
        ...


def open_store(uri: str) -> Store:
    """The store behind a folder's path, a `file://` address or `s3://bucket/prefix`.

    Touches nothing yet; raises `LakeAddressError` for an address that cannot be one."""
    from cord.lake.stores.folder import FolderStore
    from cord.lake.stores.s3 import S3Store

    scheme = uri.partition("://")[0] if "://" in uri else ""
    if scheme and "@" in uri.partition("://")[2].partition("/")[0]:
        raise LakeAddressError(  # and does not repeat it
            "the lake's address holds something before an @: credentials belong into "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; write s3://bucket/prefix"
        )
    if scheme == "s3":
        return S3Store(*_bucket_and_prefix(uri))
    if scheme == "file":
        return FolderStore(unquote(urlsplit(uri).path))
    if scheme:
        raise LakeAddressError(
            f"the lake {uri!r} is on {scheme!r}; a lake is a folder or s3://bucket/prefix"
        )
    if not uri.strip():
        raise LakeAddressError("the lake's address is empty; give a folder or s3://bucket/prefix")
    return FolderStore(uri)


def checked_key(key: str, *, prefix: bool = False) -> str:
    """The key itself, if it stays inside the lake. With `prefix` it may be empty or end in `/`."""
    parts = key.split("/")
    if prefix and parts[-1] == "":
        parts.pop()
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\x00-\x1f\x7f\\]", key):
        raise LakeError(f"the key {key!r} would leave the lake; use plain relative names")
    return key


def _bucket_and_prefix(uri: str) -> tuple[str, str]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if "@" in bucket:
        raise LakeAddressError(
            "the lake's address has keys in it; write s3://bucket/prefix, and give the keys in "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    prefix = prefix.strip("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise LakeAddressError(
            f"the lake {uri!r} names no valid bucket; write s3://bucket/prefix with 3 to 63 lower "
            "case letters, digits, dots and hyphens for the bucket"
        )
    if re.search(r"[?#%\[\]*]", prefix):
        raise LakeAddressError(
            f"the lake {uri!r} has one of ? # % [ ] * in its prefix; use plain names"
        )
    if prefix:
        checked_key(prefix)
    return bucket, prefix
