"""Real S3 servers on loopback, each started once for a test session.

`moto_s3` is `moto_server` (`benchmarks.chaos.servers`): fast, keeps conditions, takes any keys.
`ceph_s3` is Ceph (`benchmarks.chaos.ceph`): it refuses wrong credentials.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from benchmarks.chaos.ceph import absent_programs, ceph
from benchmarks.chaos.servers import moto

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class S3Server:
    """A running server, and how to reach it."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self) -> S3Client:
        """A client of its own, whatever the environment says."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def new_bucket(self) -> str:
        """Make a bucket with a fresh name."""
        name = f"lake-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name


@pytest.fixture(scope="session")
def moto_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A `moto_server` process."""
    server = moto(tmp_path_factory.mktemp("moto"))
    try:
        server.start()
        yield S3Server(server.endpoint, server.access_key, server.secret_key)
    finally:
        server.kill()


@pytest.fixture(scope="session")
def ceph_s3() -> Iterator[S3Server]:
    """A Ceph cluster of one, with its S3 gateway; about 25 s to start."""
    if absent := absent_programs():
        pytest.skip(f"no {', '.join(absent)}: apt-get install ceph-mon ceph-osd radosgw")
    with ceph() as gateway:
        yield S3Server(gateway.endpoint, gateway.access_key, gateway.secret_key)
