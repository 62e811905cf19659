"""Cut the problems of a run into shards: what is already in the lake is not decoded again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import task

from cord.ensemble import open_ensemble
from cord.errors import ContractBroken, UsageError
from cord.intake import take_in
from cord.lake import Lake, open_lake
from cord.lake.rows import REUSED, problem_rows, quarantine_rows
from cord.lake.run_tables import keys_decoded, planned_shards
from cord.lake.runs import load_recipe_of, require_run, save_run
from cord.lake.schemas import SCHEMAS
from cord.plan import META_PROVER
from cord.problems import cut_shards
from data_contracts.problems import check_problems
from tasks import artifacts
from tasks.check import store_result
from tasks.policy import OPTIONS


@task(name="shard", task_run_name="shard {run_id}", **OPTIONS)
def shard_problems(lake_uri: str, run_id: str) -> dict[str, Any]:
    """Read, screen and shard the problems; the plan is the run's rows in `problems`.

    Returns {"shards": [indices], "to_decode": n, "reused": n}. The plan is committed once: a run
    that is resumed keeps the shards it has.
    """
    lake = open_lake(lake_uri)
    if not lake.tables.committed("problems", [f"{run_id}/plan"]):
        _commit_plan(lake, run_id)
    planned = planned_shards(lake, run_id)
    reused = planned.get(REUSED, 0)
    result = {
        "shards": list(planned),
        "to_decode": sum(planned.values()) - reused,
        "reused": reused,
    }
    rows: list[dict[str, object]] = [{"shard": s, "problems": n} for s, n in planned.items()]
    artifacts.table(run_id, "shards", rows, "Problems in each shard (-1: found in the lake)")
    return result


def _commit_plan(lake: Lake, run_id: str) -> None:
    recipe, folder = load_recipe_of(lake, run_id)
    intake = asyncio.run(take_in(recipe, Path(folder), open_ensemble(recipe, Path(folder))))
    document = require_run(lake, run_id)
    if intake.identity.run != document.fingerprint:
        raise UsageError(
            f"the problems or models of run {run_id} have changed since it was started; "
            "run the recipe again: it makes a new run and keeps what is still the same"
        )
    reused = keys_decoded(lake)
    new = [p.id for p in intake.problems if intake.identity.keys[p.id] not in reused]
    shards = {id: s.index for s in cut_shards(new, recipe.run.shards) for id in s.problem_ids}
    rows = problem_rows(run_id, intake.problems, intake.identity.keys, shards)
    set_aside = quarantine_rows(run_id, intake.quarantined)
    if set_aside:
        lake.tables.append_once(
            "quarantine",
            pa.Table.from_pylist(set_aside, schema=SCHEMAS["quarantine"]),
            f"{run_id}/intake",
        )
    plan = pa.Table.from_pylist(rows, schema=SCHEMAS["problems"])
    checked = check_problems(plan.select(["problem_id", "question", "answer", "source"]))
    store_result(lake, run_id, checked)
    if not checked.holds:
        raise ContractBroken(checked.explain())
    engines = {name: f"{i.model} on {i.engine}" for name, i in intake.engines.items()}
    if way := intake.engines[META_PROVER].scoring:
        engines[META_PROVER] += f", scoring by {way}"
    save_run(lake, document.model_copy(update={"problems": intake.rows, "engines": engines}))
    lake.tables.append_once("problems", plan, f"{run_id}/plan")
