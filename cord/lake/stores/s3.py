"""A lake on S3, or on any server that speaks it and keeps conditional puts (`If-None-Match: *`).

Credentials, region and endpoint come from boto3's own chain; deltalake and DuckDB are handed what
that chain found, at the time they ask, so that rotating credentials stay fresh. Waits are bounded:
an endpoint that does not answer is reported within seconds.

What may pass by itself is tried again by botocore; what it does not try again is done here. An
answer that broke off is asked for anew. A conditional put whose answer was lost is refused when it
is repeated, though what stands there is its own: so each carries a token to be recognised by.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, IncompleteReadError, NoCredentialsError

from cord.errors import LakeError
from cord.lake.stores.s3_words import BROKEN_OFF, TRIES, Place
from cord.lake.stores.store import Entry, Keys, Unfinished, checked_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PIECE = 1 << 20
_CONFLICT_TRIES = 5
_DELETERS = 8
_PATIENCE = "CORD_S3_TIMEOUT"
"""Environment: seconds that a server may keep silent; 30 where it is not set."""
_TOKEN = "cord-put"  # noqa: S105
_CONFIG: dict[str, Any] = {
    "connect_timeout": 3,
    "retries": {"total_max_attempts": TRIES, "mode": "standard"},
    # Older servers (Ceph 16) do not know the newer checksum headers.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "max_pool_connections": 32,
}
T = TypeVar("T")


class S3Store:
    """A store under `s3://bucket/prefix`."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint, self._region = "the S3 endpoint", "us-east-1"
        self._patience_s = _patience_s()
        with self._speaking():
            try:
                self._session = boto3.Session()
                self._client = self._connect()
            except ValueError as error:
                said = "it has a name or a password in it" if "@" in f"{error}" else error
                raise LakeError(
                    f"the S3 endpoint is not a web address ({said}); "
                    "check AWS_ENDPOINT_URL, as in http://host:port"
                ) from error
            if urlsplit(self._endpoint).username is not None:  # it stands in every sentence
                self._endpoint = "the S3 endpoint"
                raise LakeError(
                    "AWS_ENDPOINT_URL has a name or a password in it; leave both out (the keys "
                    "are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
                )
            if self._session.get_credentials() is None:
                raise NoCredentialsError

    @property
    def root(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def gather_s(self) -> float:
        """Each put is paid for, and takes a round trip."""
        return 1.0

    def read(self, key: str) -> bytes | None:
        """See `Store.read`."""
        return self._take(key, b"".join)

    def write(self, key: str, data: bytes) -> None:
        """See `Store.write`: a put is atomic."""
        name = self._name(key)
        with self._speaking(key):
            self._client.put_object(Bucket=self._bucket, Key=name, Body=data)

    def create(self, key: str, data: bytes) -> bool:
        """See `Store.create`: a conditional put."""
        name, token = self._name(key), uuid.uuid4().hex
        with self._speaking(key):
            for attempt in range(_CONFLICT_TRIES):
                try:
                    self._client.put_object(
                        Bucket=self._bucket,
                        Key=name,
                        Body=data,
                        IfNoneMatch="*",
                        Metadata={_TOKEN: token},
                    )
                except ClientError as error:
                    code = error.response.get("Error", {}).get("Code", "")
                    if code in ("PreconditionFailed", "412"):
                        repeated = error.response["ResponseMetadata"].get("RetryAttempts", 0)
                        return bool(attempt or repeated) and self._carries(name, token)
                    # 409: another conditional put of this key is under way; ask again.
                    if code != "ConditionalRequestConflict" or attempt + 1 == _CONFLICT_TRIES:
                        raise
                    time.sleep(0.1 * 2**attempt)
                else:
                    return True
        raise AssertionError("unreachable")

    def delete(self, keys: Iterable[str]) -> None:
        """See `Store.delete`. One request a key: older servers want another checksum of a request
        for many than boto3 sends."""

        def delete(name: str) -> None:
            self._client.delete_object(Bucket=self._bucket, Key=name)

        names = [self._name(key) for key in keys]
        with self._speaking(), ThreadPoolExecutor(_DELETERS) as pool:
            list(pool.map(delete, names))

    def list(self, prefix: str = "") -> Keys:
        """See `Store.list`."""
        return list(self.entries(prefix))

    def entries(self, prefix: str = "") -> dict[str, Entry]:
        """See `Store.entries`."""
        start = self._prefix + checked_key(prefix, prefix=True)
        found = {}
        with self._speaking(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=start
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    key = entry["Key"].removeprefix(self._prefix)
                    found[key] = Entry(entry["Size"], entry["LastModified"])
        return dict(sorted(found.items()))

    def unfinished(self) -> Iterator[Unfinished]:
        """See `Store.unfinished`: multipart uploads that were never completed."""
        with self._speaking():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for page in pages:
                for upload in page.get("Uploads", []):
                    key = upload["Key"].removeprefix(self._prefix)
                    yield Unfinished(key, upload["Initiated"], upload["UploadId"])

    def discard(self, unfinished: Unfinished) -> None:
        """See `Store.discard`: the upload is aborted."""
        with self._speaking(), suppress(self._client.exceptions.NoSuchUpload):
            self._client.abort_multipart_upload(
                Bucket=self._bucket,
                Key=self._name(unfinished.where),
                UploadId=unfinished.upload,
            )

    def digest(self, key: str) -> tuple[str, int] | None:
        """See `Store.digest`."""

        def hashed(pieces: Iterable[bytes]) -> tuple[str, int]:
            whole, size = sha256(), 0
            for piece in pieces:
                whole.update(piece)
                size += len(piece)
            return whole.hexdigest(), size

        return self._take(key, hashed)

    def uri(self, key: str) -> str:
        """See `Store.uri`."""
        return f"s3://{self._bucket}/{self._name(key)}"

    def explain(self, text: str, key: str) -> str | None:
        """See `Store.explain`."""
        return self._place.explain(text, key)

    def delta_options(self) -> dict[str, str]:
        """See `Store.delta_options`. Holds secrets: hand it on, never print it."""
        key, secret, token = self._credentials()
        options = {
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "aws_region": self._region,
            "connect_timeout": "3s",
            # Of a whole request, where botocore's is of a silence.
            "timeout": f"{max(1, round(2 * self._patience_s))}s",
            "max_retries": str(TRIES),
            "retry_timeout": "20s",
        }
        if token:
            options["aws_session_token"] = token
        if self._custom_endpoint:
            options["aws_endpoint"] = self._endpoint
            options["aws_virtual_hosted_style_request"] = "false"
        if self._endpoint.startswith("http://"):
            options["aws_allow_http"] = "true"
        return options

    def duckdb_secret(self) -> dict[str, str] | None:
        """See `Store.duckdb_secret`. Holds secrets: hand it on, never print it."""
        key, secret, token = self._credentials()
        parameters = {
            "key_id": key,
            "secret": secret,
            "region": self._region,
            "scope": self.root + "/",
        }
        if token:
            parameters["session_token"] = token
        if self._custom_endpoint:
            address = urlsplit(self._endpoint)
            parameters["endpoint"] = address.netloc + address.path.rstrip("/")
            parameters["url_style"] = "path"
            parameters["use_ssl"] = "false" if address.scheme == "http" else "true"
        return parameters

    @property
    def _custom_endpoint(self) -> bool:
        host = urlsplit(self._endpoint).hostname or ""
        return not re.search(r"\.amazonaws\.com(\.cn)?$", host)

    @property
    def _place(self) -> Place:
        return Place(self.root, self._bucket, self._endpoint, self._region)

    def _connect(self) -> S3Client:
        config = {**_CONFIG, "read_timeout": self._patience_s}
        client = self._session.client("s3", config=Config(**config))
        self._endpoint = client.meta.endpoint_url
        if (region := client.meta.region_name) and region != "aws-global":
            self._region = region
        if not self._custom_endpoint:
            return client
        # Self-hosted servers rarely have a host name for each bucket.
        return self._session.client("s3", config=Config(**config, s3={"addressing_style": "path"}))

    def _take(self, key: str, take: Callable[[Iterable[bytes]], T]) -> T | None:
        """What `take` makes of the whole content, and never of a part of it; None where absent."""
        name = self._name(key)
        with self._speaking(key):
            for attempt in range(TRIES):
                try:
                    answer = self._client.get_object(Bucket=self._bucket, Key=name)
                    if "ContentLength" not in answer:  # then its end would prove nothing
                        raise IncompleteReadError(actual_bytes=0, expected_bytes="unstated")
                    return take(answer["Body"].iter_chunks(_PIECE))
                except self._client.exceptions.NoSuchKey:
                    return None
                except BROKEN_OFF:
                    if attempt + 1 == TRIES:
                        raise
        raise AssertionError("unreachable")

    def _carries(self, name: str, token: str) -> bool:
        """Whether what stands there was put by the holder of this token."""
        try:
            found = self._client.head_object(Bucket=self._bucket, Key=name)["Metadata"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "404":
                return False
            raise
        return found.get(_TOKEN) == token

    def _credentials(self) -> tuple[str, str, str | None]:
        with self._speaking():
            found = self._session.get_credentials()
            if found is None:
                raise NoCredentialsError
            frozen = found.get_frozen_credentials()
            if not frozen.access_key or not frozen.secret_key:
                raise NoCredentialsError
            return frozen.access_key, frozen.secret_key, frozen.token

    def _name(self, key: str) -> str:
        return self._prefix + checked_key(key)

    def _speaking(self, key: str = "") -> AbstractContextManager[None]:
        return self._place.speaking(key)


def _patience_s() -> float:
    said = os.environ.get(_PATIENCE, "30")
    if not re.fullmatch(r"\d{1,5}(\.\d+)?", said) or float(said) <= 0:
        raise LakeError(f"{_PATIENCE} is {said!r}; give seconds, as in {_PATIENCE}=30")
    return float(said)
