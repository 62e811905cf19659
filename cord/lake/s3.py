"""A lake on S3, or on any server that speaks it and keeps conditional puts (`If-None-Match: *`).

Credentials, region and endpoint come from boto3's own chain; deltalake and DuckDB are handed what
that chain found, at the time they ask, so that rotating credentials stay fresh. Waits are bounded:
an endpoint that does not answer is reported within seconds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from cord.errors import LakeError
from cord.lake.store import Entry, Keys, Unfinished, checked_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PIECE = 1 << 20
_CONFLICT_TRIES = 5
_DELETERS = 8
_CONFIG: dict[str, Any] = {
    "connect_timeout": 3,
    "read_timeout": 30,
    "retries": {"total_max_attempts": 3, "mode": "standard"},
    # Older servers (Ceph 16) do not know the newer checksum headers.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "max_pool_connections": 32,
}


class S3Store:
    """A store under `s3://bucket/prefix`."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint = "the S3 endpoint"
        with self._speaking():
            try:
                self._session = boto3.Session()
                self._client = self._connect()
            except ValueError as error:
                raise LakeError(
                    f"the S3 endpoint is not a web address ({error}); "
                    "check AWS_ENDPOINT_URL, as in http://host:port"
                ) from error
            self._endpoint = self._client.meta.endpoint_url
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
        name = self._name(key)
        with self._speaking():
            try:
                return self._client.get_object(Bucket=self._bucket, Key=name)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def write(self, key: str, data: bytes) -> None:
        """See `Store.write`: a put is atomic."""
        name = self._name(key)
        with self._speaking():
            self._client.put_object(Bucket=self._bucket, Key=name, Body=data)

    def create(self, key: str, data: bytes) -> bool:
        """See `Store.create`: a conditional put."""
        name = self._name(key)
        with self._speaking():
            for attempt in range(_CONFLICT_TRIES):
                try:
                    self._client.put_object(
                        Bucket=self._bucket, Key=name, Body=data, IfNoneMatch="*"
                    )
                except ClientError as error:
                    code = error.response.get("Error", {}).get("Code", "")
                    if code in ("PreconditionFailed", "412"):
                        return False
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

        with self._speaking(), ThreadPoolExecutor(_DELETERS) as pool:
            list(pool.map(delete, [self._name(key) for key in keys]))

    def list(self, prefix: str = "") -> Keys:
        """See `Store.list`."""
        return list(self.entries(prefix))

    def entries(self, prefix: str = "") -> dict[str, Entry]:
        """See `Store.entries`."""
        start = self._prefix + checked_key(prefix, prefix=True)
        found = {}
        with self._speaking():
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
        name = self._name(key)
        hashed, size = sha256(), 0
        with self._speaking():
            try:
                body = self._client.get_object(Bucket=self._bucket, Key=name)["Body"]
            except self._client.exceptions.NoSuchKey:
                return None
            for piece in body.iter_chunks(_PIECE):
                hashed.update(piece)
                size += len(piece)
        return hashed.hexdigest(), size

    def uri(self, key: str) -> str:
        """See `Store.uri`."""
        return f"s3://{self._bucket}/{self._name(key)}"

    def delta_options(self) -> dict[str, str]:
        """See `Store.delta_options`. Holds secrets: hand it on, never print it."""
        key, secret, token = self._credentials()
        options = {
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "aws_region": self._region,
            "connect_timeout": "3s",
            "timeout": "60s",
            "max_retries": "3",
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
    def _region(self) -> str:
        region = self._client.meta.region_name
        return region if region and region != "aws-global" else "us-east-1"

    def _connect(self) -> S3Client:
        client = self._session.client("s3", config=Config(**_CONFIG))
        self._endpoint = client.meta.endpoint_url
        if not self._custom_endpoint:
            return client
        # Self-hosted servers rarely have a host name for each bucket.
        return self._session.client("s3", config=Config(**_CONFIG, s3={"addressing_style": "path"}))

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

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
            raise LakeError(
                f"no usable S3 credentials for {self.root}: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            ) from error
        except ProfileNotFound as error:
            raise LakeError(f"{error}; check AWS_PROFILE") from error
        except (BotoConnectionError, HTTPClientError) as error:
            raise LakeError(
                f"cannot reach {self._endpoint} for {self.root} ({type(error).__name__}): check "
                "AWS_ENDPOINT_URL and the network, then run the same command again"
            ) from error
        except ClientError as error:
            raise LakeError(self._in_words(error)) from error
        except BotoCoreError as error:
            raise LakeError(f"S3 failed for {self.root}: {error}") from error

    def _in_words(self, error: ClientError) -> str:
        said = error.response.get("Error", {})
        code, message = said.get("Code", ""), said.get("Message", "")
        if code == "NoSuchBucket":
            return (
                f"there is no bucket {self._bucket!r} at {self._endpoint}: make it, or correct "
                "the lake's address"
            )
        if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"):
            return (
                f"{self._endpoint} refused the credentials for {self.root} ({code}): check "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            )
        if code in ("AccessDenied", "403", "Forbidden", "AllAccessDisabled"):
            return (
                f"no permission for {self.root} at {self._endpoint}: the credentials need to list "
                "the bucket and to read and write objects under the prefix"
            )
        if code in ("PermanentRedirect", "301", "AuthorizationHeaderMalformed"):
            return (
                f"the bucket {self._bucket!r} is in another region than {self._region}: "
                "set AWS_REGION to the bucket's own"
            )
        return f"{self._endpoint} answered {code or 'an error'} for {self.root}: {message}"
