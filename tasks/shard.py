"""Cut the problems of a run into shards: what is already in the lake is not decoded again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import task

from cord.ensemble import open_ensemble
from cord.errors import ContractBroken, UsageError
from cord.intake import Intake, take_in
from cord.lake import Lake, open_lake
from cord.lake.query import query
from cord.lake.rows import problem_rows, quarantine_rows
from cord.lake.runs import load_recipe_of, require_run, save_run
from cord.lake.schemas import SCHEMAS
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
    planned = query(
        lake,
        "select shard, count(*) as n from problems "
        f"where run_id = '{run_id}' group by shard order by shard",
    ).to_pylist()
    decoded_here = [row for row in planned if row["shard"] >= 0]
    result = {
        "shards": [row["shard"] for row in planned],
        "to_decode": sum(row["n"] for row in decoded_here),
        "reused": sum(row["n"] for row in planned) - sum(row["n"] for row in decoded_here),
    }
    artifacts.table(run_id, "shards", planned, "Problems in each shard (-1: found in the lake)")
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
    reused = _keys_in_lake(lake, intake)
    new = [p.id for p in intake.problems if intake.identity.keys[p.id] not in reused]
    shards = {id: s.index for s in cut_shards(new, recipe.run.shards) for id in s.problem_ids}
    rows = problem_rows(run_id, intake.problems, intake.identity.keys, shards)
    checked = check_problems(pa.Table.from_pylist(rows, schema=SCHEMAS["problems"]))
    store_result(lake, run_id, checked)
    if not checked.holds:
        raise ContractBroken(checked.explain())
    set_aside = quarantine_rows(run_id, intake.quarantined)
    if set_aside:
        lake.tables.append_once(
            "quarantine",
            pa.Table.from_pylist(set_aside, schema=SCHEMAS["quarantine"]),
            f"{run_id}/intake",
        )
    engines = {name: f"{i.model} on {i.engine}" for name, i in intake.engines.items()}
    save_run(lake, document.model_copy(update={"problems": intake.rows, "engines": engines}))
    lake.tables.append_once(
        "problems", pa.Table.from_pylist(rows, schema=SCHEMAS["problems"]), f"{run_id}/plan"
    )


def _keys_in_lake(lake: Lake, intake: Intake) -> set[str]:
    """Keys of this run's problems that already have trajectories, whichever run made them."""
    found = query(lake, "select distinct key from trajectories")
    return set(found["key"].to_pylist()) & set(intake.identity.keys.values())
