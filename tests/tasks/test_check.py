"""The contract stage on a lake of its own, without Prefect's server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cord.lake import Lake, open_lake
from cord.lake.releases.release import list_releases
from cord.lake.runs.candidates import CANDIDATES, write_candidates
from cord.lake.tables.schemas import SCHEMAS
from cord.recipe_file import parse_recipe
from tasks import artifacts
from tasks.check import check_contract, load_result

RECIPE = """
name: data
problems: {path: p.jsonl}
teachers: [{name: a, model: "cord:a", temperature: 0.6}]
meta_prover: a
"""
TEXT = "<think>\n### Step 1. We add.\n</think>\n\nThe final answer is \\boxed{2}."
Counts = dict[str, int]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setattr(artifacts, "table", lambda *_: None)
    return open_lake(str(tmp_path / "lake"), create=True)


def record(number: int, **changes: Any) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": f"{number}?"},
        {"role": "assistant", "content": TEXT},
    ]
    return {
        "problem_id": f"p{number}",
        "question": f"{number}?",
        "answer": "2",
        "messages": messages,
        "teachers": ["a"],
        "steps": 1,
        "tokens": 9,
        "score": 0.5,
        "run_id": "run",
        "key": f"k{number}",
        "rank": 0,
        "missing": [],
        "domain": "math",
        "repetition": 0.0,
        "outcome": "correct",
    } | changes


def trajectory(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "run_id": "run",
        "problem_id": f"p{number}",
        "key": f"k{number}",
        "rank": 0,
        "finished": True,
        "score": 0.5,
        "start_score": 0.1,
        "steps": 1,
        "tokens": 9,
        "text": TEXT,
        "answer": "2",
        "teachers": ["a"],
        "scores": [0.5],
    } | changes


def run(lake: Lake, records: list[dict[str, Any]], contract: str = "{}") -> dict[str, Any]:
    """Check a run of these records under the contract's settings."""
    recipe = parse_recipe(f"{RECIPE}contract: {contract}\n")
    kept = {"recipe": recipe.model_dump(mode="json"), "folder": "."}
    lake.store.write("runs/run/recipe.json", json.dumps(kept).encode())
    write_candidates(lake, "run", iter(pa.Table.from_pylist(records, CANDIDATES).to_batches()))
    number = len(records)
    counts = {"problems": number, "records": number, "correct": number}
    counts |= {"wrong": 0, "quarantined": 0}
    found: dict[str, Any] = check_contract.fn(lake.uri, "run", counts)
    return found


def release(lake: Lake, **mean: float) -> None:
    """A release of an earlier run, with a profile of these means."""
    from cord.lake.releases.release import publish

    rows = pa.Table.from_pylist([record(0, run_id="old")], CANDIDATES).drop_columns(["outcome"])
    publish(lake, "data", rows, "old", "f", {"holds": True}, {})
    (key,) = lake.store.list("releases/data/")
    manifest = json.loads(lake.store.read(key) or b"")
    profile = {"numbers": {name: {"mean": value} for name, value in mean.items()}}
    lake.store.write(key, json.dumps(manifest | {"profile": profile}).encode())
    assert list_releases(lake, "data")[0].profile == profile


def test_results_and_pages_are_kept_with_the_run(lake: Lake) -> None:
    assert run(lake, [record(n) for n in range(3)])["holds"]
    assert load_result(lake, "run", "records")["rows"] == 3
    assert load_result(lake, "run", "trajectories")["holds"]
    pages = lake.store.list("runs/run/contracts/")
    assert {key.rsplit("/", 1)[1] for key in pages} >= {"records.html", "index.html"}
    page = (lake.store.read("runs/run/contracts/index.html") or b"").decode()
    assert "<code>score</code> 0.5 to 0.5" in page and "<code>trajectories</code>" in page


def test_a_bound_of_the_recipe_stops_the_run_and_a_default_warns(lake: Lake) -> None:
    looping = [record(n, repetition=0.9) for n in range(3)]
    warned = run(lake, looping)
    assert warned["holds"] and "warning repetition_in_range" in warned["explanation"]
    stopped = run(lake, looping, "{max_repetition: 0.5}")
    assert not stopped["holds"] and "FAILED repetition_in_range" in stopped["explanation"]


def test_drift_is_held_against_the_newest_release_of_another_run(lake: Lake) -> None:
    release(lake, score=0.9)
    warned = run(lake, [record(1)])
    assert warned["holds"] and "0.9 before, 0.5 now" in warned["explanation"]
    assert "data@1" in warned["explanation"]
    assert not run(lake, [record(1)], "{drift: {}}")["holds"]


def test_a_broken_trajectory_stops_the_run(lake: Lake) -> None:
    problem = {"run_id": "run", "problem_id": "p1", "key": "k1", "shard": 0}
    for table, rows in (("problems", [problem]), ("trajectories", [trajectory(1, score=1.5)])):
        lake.tables.append_once(table, pa.Table.from_pylist(rows, SCHEMAS[table]), f"run/{table}")
    found = run(lake, [record(1)])
    assert not found["holds"] and "score_in_range" in found["explanation"]
    assert "The contract `trajectories` does not hold" in found["explanation"]
