"""Hold the records contract against what would be published."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task

from cord.errors import LakeError
from cord.lake import Lake, open_lake
from cord.lake.runs.run import load_recipe_of
from cord.recipe import Recipe
from data_contracts.page import render
from data_contracts.records import RecordBounds, RunCounts, check_records
from data_contracts.result import ContractResult
from tasks import artifacts
from tasks.board import BOARD
from tasks.deduplicate import candidates_key
from tasks.policy import OPTIONS


@task(name="check", task_run_name="check {run_id}", **OPTIONS)
def check_contract(lake_uri: str, run_id: str, counts: dict[str, int]) -> dict[str, Any]:
    """Check the candidate records; returns {"holds": bool, "explanation": str}.

    `counts` is what `deduplicate` returned. The result is kept in the lake with the run. A contract
    that does not hold is a finding, not a failure of this task: the flow decides."""
    BOARD.enter("contract")
    lake = open_lake(lake_uri)
    recipe, _ = load_recipe_of(lake, run_id)
    result = check_records(load_candidates(lake, run_id), bounds_of(recipe, counts))
    store_result(lake, run_id, result)
    artifacts.table(
        run_id,
        "contract",
        [
            {"expectation": c.expectation, "holds": c.holds, "must": c.sentence, "is": c.observed}
            for c in result.checks
        ],
        "The records contract",
    )
    return {"holds": result.holds, "explanation": result.explain()}


def bounds_of(recipe: Recipe, counts: dict[str, int]) -> RecordBounds:
    """What the recipe asks of its records, and what the run counted."""
    return RecordBounds(
        max_steps=recipe.search.max_steps,
        max_tokens=recipe.contract.max_record_tokens or recipe.search.max_tokens,
        min_records=recipe.contract.min_records,
        min_correct=recipe.contract.min_correct,
        unique_problem=recipe.publish.keep == "best",
        counts=RunCounts(**{one.name: counts[one.name] for one in fields(RunCounts)}),
    )


def load_candidates(lake: Lake, run_id: str) -> pa.Table:
    """The records that ask to be published, with their verdict's `outcome`."""
    content = lake.store.read(candidates_key(run_id))
    if content is None:
        raise LakeError(f"{candidates_key(run_id)} is missing from the lake; resume run {run_id}")
    return pq.read_table(pa.BufferReader(content))


def store_result(lake: Lake, run_id: str, result: ContractResult) -> None:
    """Keep a contract's result with the run, for people and for programs."""
    content = json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n"
    lake.store.write(f"runs/{run_id}/contracts/{result.contract}.json", content.encode())
    lake.store.write(f"runs/{run_id}/contracts/{result.contract}.html", render(result).encode())


def load_result(lake: Lake, run_id: str, contract: str) -> dict[str, Any]:
    """A contract's stored result; empty when there is none."""
    content = lake.store.read(f"runs/{run_id}/contracts/{contract}.json")
    return {} if content is None else dict(json.loads(content))
