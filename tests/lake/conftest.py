"""A lake on each kind of store, and rows to put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from s3_server import S3Server

from benchmarks.faulty_s3 import FaultyS3
from cord.lake import Lake, open_lake
from cord.lake.tables.schemas import SCHEMAS

STORES = ["folder", "moto", pytest.param("ceph", marks=pytest.mark.slow)]


@pytest.fixture
def use_s3(monkeypatch: pytest.MonkeyPatch) -> Callable[[S3Server], str]:
    """Point this process at a server; returns `s3://bucket/prefix` in a fresh bucket."""

    def use(server: S3Server) -> str:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        return f"s3://{server.new_bucket()}/some/lake"

    return use


@pytest.fixture
def server(moto_s3: S3Server) -> S3Server:
    """The S3 server behind `proxy`."""
    return moto_s3


@pytest.fixture
def proxy(server: S3Server) -> Iterator[FaultyS3]:
    """What breaks requests on their way to `server`, as told."""
    with FaultyS3(server.endpoint) as made:
        yield made


@pytest.fixture
def uri_behind_proxy(
    server: S3Server,
    proxy: FaultyS3,
    use_s3: Callable[[S3Server], str],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Address of an empty place on `server`, which this process reaches through `proxy`."""
    made = use_s3(server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    return made


@pytest.fixture(params=STORES)
def uri(request: pytest.FixtureRequest, tmp_path: Path, use_s3: Callable[[S3Server], str]) -> str:
    """Address of an empty place, on every kind of store."""
    if request.param == "folder":
        return str(tmp_path / "a lake")
    return use_s3(request.getfixturevalue(f"{request.param}_s3"))


@pytest.fixture
def lake(uri: str) -> Lake:
    """An empty lake, on every kind of store."""
    return open_lake(uri, create=True)


@pytest.fixture
def folder_lake(tmp_path: Path) -> Lake:
    """An empty lake on a folder, where the kind of store makes no difference."""
    return open_lake(str(tmp_path / "lake"), create=True)


FILLINGS: dict[str, dict[str, Any]] = {
    "problems": {"question": "1+1?", "answer": "2", "alternatives": ["two"], "source": "p:1"},
    "steps": {"teacher": "a", "authors": ["a"], "text": "### Step 1. ü", "tokens": 5},
    "trajectories": {"finished": True, "answer": "2", "text": "### Step 1.", "teachers": ["a"]},
    "costs": {"teacher": "a", "proposals": 1, "tokens": 5, "kept_tokens": 5, "prompt_tokens": 9},
    "verdicts": {"outcome": "correct", "method": "exact", "reason": "2 = 2", "answer": "2"},
    "quarantine": {"stage": "read", "reason": "torn", "content": "{"},
    "dropped": {"stage": "deduplicate", "kind": "exact", "of": "p0", "reason": "p0 asks it too"},
    "records": {
        "question": "1+1?",
        "answer": "2",
        "messages": [{"role": "user", "content": "1+1?"}],
        "teachers": ["a"],
        "steps": 1,
        "tokens": 5,
        "score": 0.5,
        "missing": [],
    },
}


@pytest.fixture
def make_rows() -> Callable[..., pa.Table]:
    """rows(table, problem ids, **columns): plausible rows of a table."""
    return rows


def rows(table: str, problem_ids: list[str], run_id: str = "run", **columns: Any) -> pa.Table:
    """Plausible rows of a table, one a problem; `columns` replaces what stands there."""
    schema = SCHEMAS[table]
    made = []
    for problem_id in problem_ids:
        row: dict[str, Any] = {
            "run_id": run_id,
            "problem_id": problem_id,
            "key": f"key-{problem_id}",
            "rank": 0,
            **FILLINGS[table],
            **columns,
        }
        made.append({name: row.get(name) for name in schema.names})
    return pa.Table.from_pylist(made, schema=schema)
