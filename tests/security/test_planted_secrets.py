"""No secret that a run is given is found anywhere afterwards: secrets are planted, runs fail and
succeed, and everything that they left is searched, unpacked."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from doubles.openai_answers import OpenAIAnswers
from doubles.vllm_answers import status
from factory import STARTER, Factory
from prefect_process import PrefectProcess
from s3_server import S3Server

from flows.heartbeats import AUTOMATION

PLANTED = {
    "OUTSIDE_API_KEY": "sk-planted-teacher-5a1f",
    "AWS_ACCESS_KEY_ID": "PLANTEDACCESS7Q2X",
    "AWS_SECRET_ACCESS_KEY": "planted/secret+access-91c4",
    "AWS_SESSION_TOKEN": "planted-session-token-e07b",
    "PREFECT_API_AUTH_STRING": "cord:planted-dashboard-3d88",
    "HF_TOKEN": "hf_plantedtoken6b21",
    "WANDB_API_KEY": "planted-unrelated-c55e",
}


def needles() -> list[bytes]:
    """Each secret as it is, quoted for a url, and in base64 wherever its bytes may begin."""
    found = []
    for secret in [*PLANTED.values(), PLANTED["PREFECT_API_AUTH_STRING"].split(":")[1]]:
        found += [secret.encode(), secret.replace("/", "%2F").replace("+", "%2B").encode()]
        for shift in range(3):
            coded = base64.b64encode(b"x" * shift + secret.encode()).rstrip(b"=")
            found.append(coded[4 if shift else 0 : -2])
    return sorted(set(found))


def unpacked(name: str, content: bytes) -> Iterator[bytes]:
    """The bytes themselves, and what they hold: Parquet's rows, packed blocks of a page."""
    yield content
    if name.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(content))
        yield json.dumps(table.to_pylist(), default=str).encode()
        yield repr(table.schema.metadata).encode()
    for block in re.findall(rb"[A-Za-z0-9+/]{200,}={0,2}", content):
        packed = base64.b64decode(block + b"==", validate=False)
        for unpack in (gzip.decompress, zlib.decompress, bytes):
            try:
                yield unpack(packed)
            except (OSError, EOFError, zlib.error):
                continue


def leaks(named: dict[str, bytes]) -> list[str]:
    sought = needles()
    return [
        f"{name}: {needle.decode()}"
        for name, content in named.items()
        for piece in unpacked(name, content)
        for needle in sought
        if needle in piece
    ]


def objects(server: S3Server, bucket: str) -> dict[str, bytes]:
    """Every object of a lake, with what its server keeps beside it."""
    client = server.client()
    found: dict[str, bytes] = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            answer = client.get_object(Bucket=bucket, Key=entry["Key"])
            found[f"{entry['Key']} (metadata)"] = json.dumps(answer["Metadata"]).encode()
            found[entry["Key"]] = answer["Body"].read()
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def prefect(tmp_path: Path) -> Iterator[PrefectProcess]:
    """A server that asks who is there."""
    home = tmp_path / "prefect"
    home.mkdir()
    auth = PLANTED["PREFECT_API_AUTH_STRING"]
    asks = {"PREFECT_SERVER_API_AUTH_STRING": auth, "PREFECT_API_AUTH_STRING": auth}
    server = PrefectProcess(home, settings=asks)
    try:
        server.start()
        yield server
    finally:
        server.kill()


RUN = {"seed": 3, "shards": 1, "retries": 0}


def recipe(url: str, **changes: Any) -> dict[str, Any]:
    outside = {"name": "out", "model": "m", "url": url, "engine": "openai", "context": 2048}
    teachers = [*STARTER["teachers"][:2], outside | {"api_key_env": "OUTSIDE_API_KEY"}]
    return {"teachers": teachers, "run": RUN, **changes}


@pytest.mark.slow
def test_nothing_that_two_runs_leave_holds_a_secret(
    tmp_path: Path, moto_s3: S3Server, prefect: PrefectProcess
) -> None:
    bucket = moto_s3.new_bucket()
    work = tmp_path / "work"
    work.mkdir()
    lake = f"s3://{bucket}/lake"
    environment = {**prefect.environment, **moto_s3.environment(), **PLANTED, "CORD_LAKE": lake}
    del environment["PREFECT_SERVER_API_AUTH_STRING"]
    factory = Factory(work, environment, lake)
    factory.write_problems(4)
    said: dict[str, bytes] = {}

    def cord(*arguments: str, code: int | None = 0) -> Any:
        ran = factory.cord(*arguments)
        said[f"said by cord {' '.join(arguments)}"] = (ran.out + ran.err).encode()
        assert code is None or ran.code == code, ran.out + ran.err
        return ran

    with OpenAIAnswers("switches") as answers:
        answers.key = PLANTED["OUTSIDE_API_KEY"]
        factory.write_recipe(**recipe(answers.url, name="planted"))
        known = factory.environment.pop("PREFECT_API_AUTH_STRING")
        for command in (("run", "recipe.yaml"), ("serve",)):  # a stranger is told what to do
            assert "PREFECT_API_AUTH_STRING" in cord(*command, code=2).err
        factory.environment["PREFECT_API_AUTH_STRING"] = known
        ran = cord("run", "recipe.yaml", "--json")
        assert ran.json["release"] == "planted@1"
        assert answers.asked("/v1/chat/completions"), "the teacher with a key has been asked"
        # Servers and proxies repeat the key where they refuse a request, or a problem.
        told = f"Incorrect API key provided: {answers.key}; Authorization: Bearer {answers.key}"
        factory.write_recipe(**recipe(answers.url, name="refused", run=RUN | {"seed": 4}))
        answers.faults.extend(status(400, told) for _ in range(200))
        cord("run", "recipe.yaml", code=None)
        assert len(answers.faults) < 200
    run_id = ran.json["run_id"]
    made = prefect.request("POST", "automations/filter", json={}, auth=tuple(known.split(":")))
    assert AUTOMATION in [one["name"] for one in made], "the heartbeats were let in"
    for command in (
        ("status", run_id),
        ("runs",),
        ("card", "planted@1"),
        ("query", "select * from quarantine"),
        ("export", "planted@1", str(work / "data"), "--format", "dataset"),
        ("report", run_id, str(work / "report.html")),
    ):
        cord(*command)
    prefect.kill()  # its database is then whole on the disk
    left = {**objects(moto_s3, bucket), **files(work), **files(prefect.home), **said}
    assert any(name.endswith(".parquet") for name in left)
    assert any(name.endswith("server.db") for name in left)
    assert leaks(left) == []


def test_the_search_finds_what_is_hidden(tmp_path: Path) -> None:
    import pyarrow as pa

    key = PLANTED["OUTSIDE_API_KEY"]
    rows = io.BytesIO()
    pq.write_table(pa.table({"error": [f"401 for {key}"] * 1000}), rows)
    page = base64.b64encode(gzip.compress((key + "words " * 900).encode() + bytes(range(256)) * 9))
    auth = base64.b64encode(f"x {PLANTED['PREFECT_API_AUTH_STRING']} y".encode())
    hidden = {"a.parquet": rows.getvalue(), "b.html": b"<b>" + page, "c.log": b"Basic " + auth}
    assert {leak.split(":")[0] for leak in leaks(hidden)} == hidden.keys()
    assert leaks({"d.log": b"nothing here"}) == []
