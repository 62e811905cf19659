"""infra/s3-policy.json: enough for a whole refresh, and for nothing that a release rests on."""

from __future__ import annotations

import importlib.resources
import json
import os
import subprocess
import sys
import types
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from factory import Factory
from s3_server import S3Server
from seaweed import INFRA, seaweed, secrets

BUCKET, PREFIX = "cord", "lake"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[S3Server, S3Server]]:
    """The S3 server of compose.yaml with its bucket: as the admin sees it, and as cord does."""
    folder = tmp_path_factory.mktemp("seaweed")
    made = secrets(folder / "secrets")
    with seaweed(folder, made["s3_identities.json"]) as address:
        admin = S3Server(address, made["s3_admin_access_key"], made["s3_admin_secret_key"])
        command = [sys.executable, INFRA / "make_bucket.py", BUCKET, PREFIX]
        for _ in range(2):
            done = subprocess.run(command, env=os.environ | admin.environment(), check=False)
            assert done.returncode == 0
        yield admin, S3Server(address, made["s3_access_key"], made["s3_secret_key"])


def refused(server: S3Server, call: str, **arguments: Any) -> bool:
    """Whether the server says no. Anything else but a no or a yes is an error."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    try:
        getattr(client, call)(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return True
    return False


@pytest.mark.slow
@pytest.mark.xdist_group("seaweed")
def test_a_refresh_needs_no_more_than_the_policy_gives_and_cannot_unpublish(
    served: tuple[S3Server, S3Server],
    factory: Factory,
) -> None:
    admin, cord = served
    factory.write_recipe(name=f"policy-{uuid.uuid4().hex[:8]}")
    factory.write_problems(6)
    factory.environment |= cord.environment()
    lake = f"s3://{BUCKET}/{PREFIX}"
    ran = factory.run("--lake", lake)
    assert ran.code == 0, ran.err
    assert factory.cord("verify", ran.json["release"], "--lake", lake).code == 0
    assert factory.cord("verify", "--lake", lake).code == 0

    listed = admin.client().list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/")["Contents"]
    keys = [entry["Key"] for entry in listed]
    for part in ("releases/", "datasets/", "tables/", "/run.json"):
        key = next(key for key in keys if part in key)
        assert refused(cord, "delete_object", Bucket=BUCKET, Key=key), key
    assert not [key for key in keys if "/shards/" in key or "/journals/" in key], "not cleaned up"


@pytest.mark.slow
@pytest.mark.xdist_group("seaweed")
def test_nothing_outside_the_lake_is_within_reach(served: tuple[S3Server, S3Server]) -> None:
    admin, cord = served
    admin.client().put_object(Bucket=BUCKET, Key="other/secret", Body=b"no")
    admin.client().create_bucket(Bucket="elsewhere")
    assert refused(cord, "get_object", Bucket=BUCKET, Key="other/secret")
    assert refused(cord, "put_object", Bucket=BUCKET, Key="other/mine", Body=b"x")
    assert refused(cord, "put_object", Bucket="elsewhere", Key=f"{PREFIX}/x", Body=b"x")
    assert refused(cord, "list_objects_v2", Bucket="elsewhere")
    assert refused(cord, "put_bucket_policy", Bucket=BUCKET, Policy="{}")
    assert refused(cord, "delete_bucket", Bucket=BUCKET)
    assert not refused(cord, "put_object", Bucket=BUCKET, Key=f"{PREFIX}/journals/a/1", Body=b"x")
    assert not refused(cord, "delete_object", Bucket=BUCKET, Key=f"{PREFIX}/journals/a/1")


def test_the_policy_says_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """By parliament: actions that exist, on resources that they are for."""

    # It asks setuptools for a module that newer ones have no more.
    def filename(package: str, name: str) -> str:
        return str(importlib.resources.files(package) / name)

    stub = types.SimpleNamespace(resource_filename=filename)
    monkeypatch.setitem(sys.modules, "pkg_resources", stub)  # type: ignore[arg-type]
    from parliament import analyze_policy_string

    text = Path(INFRA / "s3-policy.json").read_text()
    filled = text.replace("BUCKET", BUCKET).replace("PREFIX", PREFIX)
    assert not [str(finding) for finding in analyze_policy_string(filled).findings]
    actions = {
        action
        for statement in json.loads(text)["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    assert not [action for action in actions if "*" in action]
