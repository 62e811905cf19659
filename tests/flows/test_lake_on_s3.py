"""The whole factory with its lake, and its problems, on real S3 servers."""

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from factory import Factory, Ran, free_port
from s3_server import S3Server

pytestmark = pytest.mark.slow

SOON_S = 60
"""Long enough for a busy machine, far from the minutes of unbounded retries."""


@pytest.fixture
def put_on(factory: Factory) -> Callable[[S3Server], str]:
    """put_on(server) -> bucket: the user's lake and problems are in a fresh bucket there."""

    def put(server: S3Server) -> str:
        bucket = server.new_bucket()
        problems = factory.write_problems(4).read_bytes()
        server.client().put_object(Bucket=bucket, Key="in/problems.jsonl", Body=problems)
        factory.lake = f"s3://{bucket}/team/lake"
        factory.environment.update(server.environment(), CORD_LAKE=factory.lake)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            factory.environment.pop(name, None)
        factory.write_recipe(problems={"path": f"s3://{bucket}/in/problems.jsonl"})
        return bucket

    return put


def contents(server: S3Server, bucket: str) -> dict[str, bytes]:
    """Every object of the bucket."""
    client = server.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def refused(factory: Factory, *arguments: str) -> Ran:
    """A command that must fail with one sentence, soon."""
    begun = time.monotonic()
    ran = factory.cord(*arguments)
    assert time.monotonic() - begun < SOON_S
    assert ran.code == 1, ran.err
    assert "Traceback" not in ran.err and "unexpected" not in ran.err
    said = [line for line in ran.err.splitlines() if not line.startswith("cord: reading")]
    assert len(said) == 1, ran.err
    assert factory.environment.get("AWS_SECRET_ACCESS_KEY", "-") not in ran.err.split()
    return ran


@pytest.fixture(
    params=[pytest.param("moto, by a host name", marks=pytest.mark.long), "ceph, by an address"]
)
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each kind of server. To one that has a name, clients like to put the bucket in front."""
    kind, _, place = request.param.partition(", ")
    found: S3Server = request.getfixturevalue(f"{kind}_s3")
    if "name" not in place:
        return found
    return replace(found, endpoint=found.endpoint.replace("127.0.0.1", "localhost"))


def test_a_whole_refresh_on_s3_and_what_verify_finds_later(
    factory: Factory, server: S3Server, put_on: Callable[[S3Server], str]
) -> None:
    bucket = put_on(server)
    first = factory.run("--lake", factory.lake)
    assert first.code == 0, first.err
    made = first.json
    assert made["release"] == "small@1"
    assert made["problems"] == 4 == made["records"] + made["wrong"] + made["quarantined"]
    before = factory.ask("select * from records order by problem_id", "--release", "small@1")
    assert len(before) == made["records"]
    sources = factory.ask("select source from problems order by problem_id limit 1")
    assert sources == [{"source": f"s3://{bucket}/in/problems.jsonl:1"}]

    again = factory.run()
    assert again.code == 0 and again.json["nothing_to_do"], again.err
    other = factory.run("--seed", "8")
    assert other.code == 0 and other.json["release"] == "small@2", other.err
    assert before == factory.ask(
        "select * from records order by problem_id", "--release", "small@1"
    )
    listed = factory.cord("releases", "--json").json
    assert [(r["release"], r["parent"]) for r in listed] == [("small@1", None), ("small@2", 1)]
    assert factory.cord("verify", "small@1", "--json").json["holds"]
    status = factory.cord("status", made["run_id"], "--json").json
    assert status["state"] == "completed"
    assert all(shard["decoded"] and shard["verified"] for shard in status["shards"])

    there = contents(server, bucket)
    assert all(key.startswith(("in/", "team/lake/")) for key in there)
    assert not any(server.secret_key.encode() in body for body in there.values())
    assert sorted(path.name for path in factory.folder.iterdir()) == [
        "problems.jsonl",
        "recipe.yaml",
    ], "nothing was left on this machine"

    manifest = json.loads(there["team/lake/releases/small/v000001.json"])
    damaged = manifest["files"][0]["path"]
    server.client().put_object(Bucket=bucket, Key=f"team/lake/{damaged}", Body=b"something else")
    found = factory.cord("verify", "small@1", "--json")
    assert found.code == 1
    assert "small@1 is damaged" in found.err and damaged in found.json["faults"][0]
    asked = factory.cord("query", "select * from records", "--release", "small@1")
    assert asked.code == 1
    assert "the lake could not be read" in asked.err and damaged in asked.err


def test_no_credentials_is_one_sentence(
    factory: Factory, moto_s3: S3Server, put_on: Callable[[S3Server], str]
) -> None:
    put_on(moto_s3)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del factory.environment[name]
    for arguments in (("run", "recipe.yaml"), ("query", "select 1"), ("releases",)):
        ran = refused(factory, *arguments)
        assert "no usable S3 credentials" in ran.err and "AWS_ACCESS_KEY_ID" in ran.err


def test_wrong_credentials_are_one_sentence(
    factory: Factory, ceph_s3: S3Server, put_on: Callable[[S3Server], str]
) -> None:
    put_on(ceph_s3)
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        factory.environment[name] = "WRONG" + factory.environment[name][5:]
        ran = refused(factory, "run", "recipe.yaml")
        assert "refused the credentials" in ran.err and factory.lake in ran.err


def test_an_absent_bucket_is_named(
    factory: Factory, moto_s3: S3Server, put_on: Callable[[S3Server], str]
) -> None:
    put_on(moto_s3)
    for arguments in (("run", "recipe.yaml"), ("query", "select * from steps")):
        ran = refused(factory, *arguments, "--lake", "s3://not-made/lake")
        assert "no bucket 'not-made'" in ran.err and moto_s3.endpoint in ran.err


def test_a_server_that_is_not_there_is_said_soon(
    factory: Factory, moto_s3: S3Server, put_on: Callable[[S3Server], str]
) -> None:
    put_on(moto_s3)
    nobody = f"http://127.0.0.1:{free_port()}"
    factory.environment["AWS_ENDPOINT_URL"] = nobody
    assert f"cannot reach {nobody}" in refused(factory, "run", "recipe.yaml").err


def test_problems_that_s3_does_not_give_are_said_with_their_address(
    factory: Factory, moto_s3: S3Server, put_on: Callable[[S3Server], str]
) -> None:
    bucket = put_on(moto_s3)
    for path in (f"s3://{bucket}/in/nothing.jsonl", "s3://not-made/problems.jsonl"):
        factory.write_recipe(problems={"path": path})
        ran = factory.run()
        assert ran.code == 2
        assert "problems.path: " in ran.err and path in ran.err and "Traceback" not in ran.err
