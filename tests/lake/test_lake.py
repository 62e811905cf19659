"""Opening and making a lake."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from s3_server import S3Server

from cord.errors import LakeError
from cord.lake import open_lake


def test_a_lake_is_made_once_and_opened_again(uri: str) -> None:
    made = open_lake(uri, create=True)
    made.store.write("runs/a/run.json", b"{}")
    assert open_lake(uri, create=True).store.read("runs/a/run.json") == b"{}"
    assert open_lake(uri).uri == made.uri


def test_eight_processes_may_make_it_at_once(uri: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        lakes = list(pool.map(lambda _: open_lake(uri, create=True), range(8)))
    assert {lake.uri for lake in lakes} == {lakes[0].uri}
    assert lakes[0].store.list() == ["lake.json"]


def test_a_missing_lake_says_how_to_make_one(uri: str) -> None:
    with pytest.raises(LakeError, match=r"there is no lake at .*`cord run RECIPE --lake"):
        open_lake(uri)


def test_a_place_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(LakeError, match=r"not empty and not a lake \(it holds 'thesis.tex'\)"):
        open_lake(str(tmp_path), create=True)
    assert not (tmp_path / "lake.json").exists()


def test_a_lake_of_another_version_says_which(tmp_path: Path) -> None:
    (tmp_path / "lake.json").write_text(json.dumps({"format": 7, "made_by": "cord 9.0"}))
    with pytest.raises(LakeError, match=r"format 7.*reads format 2; use the cord.*\(cord 9.0\)"):
        open_lake(str(tmp_path), create=True)


@pytest.mark.parametrize("marker", ["", "[]", "{}", "{"])
def test_a_broken_marker_is_named(tmp_path: Path, marker: str) -> None:
    (tmp_path / "lake.json").write_text(marker)
    with pytest.raises(LakeError, match=r"lake.json is not a lake's marker"):
        open_lake(str(tmp_path))


@pytest.mark.slow
def test_a_bucket_that_may_only_be_read_is_named(
    ceph_s3: S3Server, use_s3: Callable[[S3Server], str]
) -> None:
    uri = use_s3(ceph_s3)
    bucket = uri.split("/")[2]
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    ceph_s3.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    with pytest.raises(LakeError, match=rf"no permission for PutObject on s3://{bucket}/some/lake"):
        open_lake(uri, create=True)
