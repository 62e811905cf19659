"""Hold the contracts against what was decoded, and against what would be published."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pyarrow as pa
from prefect import task

from cord.lake import Lake, open_lake
from cord.lake.releases.release import list_releases
from cord.lake.runs.candidates import CANDIDATES, read_candidates
from cord.lake.runs.run import load_recipe_of
from cord.lake.runs.run_tables import decoded_sql
from cord.lake.tables.query import WORK, stream
from cord.recipe import Recipe
from cord.signals.profile import Profile, Profiler
from data_contracts.bounds import QualityBounds, RecordBounds, RunCounts
from data_contracts.drift import check_drift
from data_contracts.page import render
from data_contracts.records import check_records
from data_contracts.result import ContractResult
from data_contracts.trajectories import TRAJECTORY_SCHEMA, check_trajectories
from tasks import artifacts
from tasks.board import BOARD
from tasks.events import contract_failed
from tasks.policy import OPTIONS

CONTRACTS = ("problems", "trajectories", "records")
"""In the order of a run."""


@task(name="check", task_run_name="check {run_id}", **OPTIONS)
def check_contract(lake_uri: str, run_id: str, counts: dict[str, int]) -> dict[str, Any]:
    """Check trajectories and candidate records; returns {"holds": bool, "explanation": str}.

    `counts` is what became of the run's problems. Results are kept in the lake with the run. A
    contract that does not hold is a finding, not a failure of this task: the flow decides."""
    BOARD.enter("contract")
    lake = open_lake(lake_uri)
    recipe, _ = load_recipe_of(lake, run_id)
    trajectories = _trajectories(lake, run_id, recipe)
    store_result(lake, run_id, trajectories)
    records, profile = _records(lake, run_id, recipe, counts)
    store_result(lake, run_id, records)
    _store_page(lake, run_id, profile)
    for result in (trajectories, records):
        artifacts.table(
            run_id,
            "contract" if result is records else "contract-trajectories",
            [
                {
                    "expectation": c.expectation,
                    "holds": c.holds,
                    "must": c.sentence,
                    "is": c.observed,
                }
                for c in result.checks
            ],
            f"The {result.contract} contract",
        )
    if broken := {c.expectation for r in (trajectories, records) for c in r.failures}:
        contract_failed(run_id, recipe.name, sorted(broken))
    said = [r.explain() for r in (trajectories, records) if r is records or not r.holds]
    return {"holds": trajectories.holds and records.holds, "explanation": "\n".join(said)}


def bounds_of(recipe: Recipe, counts: dict[str, int]) -> RecordBounds:
    """What the recipe asks of its records, and what the run counted."""
    return RecordBounds(
        max_steps=recipe.search.max_steps,
        max_tokens=recipe.contract.max_record_tokens or recipe.search.max_tokens,
        min_records=recipe.contract.min_records,
        min_correct=recipe.contract.min_correct,
        unique_problem=recipe.publish.keep == "best",
        counts=RunCounts(**{one.name: counts[one.name] for one in fields(RunCounts)}),
        quality=QualityBounds.of(recipe.contract),
        warn=frozenset(recipe.contract.warn),
    )


def store_result(lake: Lake, run_id: str, result: ContractResult) -> None:
    """Keep a contract's result with the run, for people and for programs."""
    content = json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n"
    lake.store.write(_contract_key(run_id, result.contract, "json"), content.encode())
    page = _contract_key(run_id, result.contract, "html")
    lake.store.write(page, render(result).encode())


def load_result(lake: Lake, run_id: str, contract: str) -> dict[str, Any]:
    """A contract's stored result; empty when there is none."""
    content = lake.store.read(_contract_key(run_id, contract, "json"))
    return {} if content is None else dict(json.loads(content))


def _trajectories(lake: Lake, run_id: str, recipe: Recipe) -> ContractResult:
    columns = ", ".join(TRAJECTORY_SCHEMA.names)
    sql = f"select {columns} from ({decoded_sql(run_id)})"  # noqa: S608 (its run id is checked)
    with stream(lake, sql, limits=WORK) as batches:
        return check_trajectories(
            batches, QualityBounds.of(recipe.contract), frozenset(recipe.contract.warn)
        )


def _records(
    lake: Lake, run_id: str, recipe: Recipe, counts: dict[str, int]
) -> tuple[ContractResult, Profile]:
    """The contract on the candidates, drift among it, and their profile."""
    profiler = Profiler()
    batches = profiler.watch(read_candidates(lake, run_id))
    reader = pa.RecordBatchReader.from_batches(CANDIDATES, batches)
    result, profile = check_records(reader, bounds_of(recipe, counts)), profiler.profile()
    earlier = [one for one in list_releases(lake, recipe.name) if one.run_id != run_id]
    if earlier and not result.skipped:
        newest, bounds = earlier[-1], recipe.contract
        warn = frozenset(bounds.warn)
        drift = check_drift(profile, newest.profile, newest.label, bounds.drift, warn)
        result = result.joined(drift)
    return result, profile


def _store_page(lake: Lake, run_id: str, profile: Profile) -> None:
    """All contracts of a run on one page, with the distributions of its records."""
    stored = [load_result(lake, run_id, contract) for contract in CONTRACTS]
    first, *further = [ContractResult.from_json(one) for one in stored if one]
    page = render(first, *further, profile=profile)
    lake.store.write(_contract_key(run_id, "index", "html"), page.encode())


def _contract_key(run_id: str, contract: str, kind: str) -> str:
    return f"runs/{run_id}/contracts/{contract}.{kind}"
