"""Cut the problems of a run into shards: what is already in the lake is not decoded again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import task

from cord.engines import EngineInfo
from cord.ensemble import open_ensemble
from cord.errors import ContractBroken, EngineUnreachable, UsageError
from cord.intake import take_in
from cord.lake import Lake, open_lake
from cord.lake.runs.journals import JOURNALS_LOG, adopt, journal_header
from cord.lake.runs.plan_page import kept_page
from cord.lake.runs.progress import shard_states
from cord.lake.runs.run import load_recipe_of, require_run, save_run
from cord.lake.runs.run_tables import keys_decoded
from cord.lake.tables.rows import REUSED, problem_rows, quarantine_rows
from cord.lake.tables.schemas import SCHEMAS
from cord.plan import search_fingerprint
from cord.problems import cut_shards, shards_for
from cord.recipe.roles import JUDGE, META_PROVER, REWARD_MODEL
from data_contracts.problems import ProblemBounds, check_problems
from tasks import artifacts
from tasks.check import store_result
from tasks.policy import OPTIONS

SHARDS_LISTED = 500
"""In the table on the dashboard."""


@task(name="shard", task_run_name="shard {run_id}", **OPTIONS)
def shard_problems(lake_uri: str, run_id: str) -> dict[str, Any]:
    """Read, screen and shard the problems; the plan is the run's rows in `problems`.

    Returns {"planned": {shard: problems}, "shards": [those not decoded and verified], "to_decode":
    n, "reused": n}. The plan is committed once: a run that is resumed keeps the shards it has, and
    only those that it lacks are worked on.
    """
    lake = open_lake(lake_uri)
    if lake.tables.committed("problems", [f"{run_id}/plan"]):
        _check_engines(lake, run_id)
    else:
        _commit_plan(lake, run_id)
    states = shard_states(lake, run_id)
    planned = {one.index: one.problems for one in states}
    result = {
        "planned": planned,
        "shards": [one.index for one in states if not (one.decoded and one.verified)],
        "to_decode": sum(one.problems for one in states if not one.decoded),
        "reused": planned.get(REUSED, 0),
    }
    rows: list[dict[str, object]] = [
        {"shard": s, "problems": n} for s, n in list(planned.items())[:SHARDS_LISTED]
    ]
    listed = "" if len(planned) == len(rows) else f", the first {len(rows)} of {len(planned):,}"
    about = f"Problems in each shard (-1: found in the lake){listed}"
    artifacts.table(run_id, "shards", rows, about)
    if (page := kept_page(lake, run_id)) is not None:
        artifacts.page(run_id, "plan", page, f"What {run_id} was going to change when it began")
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
    reused = keys_decoded(lake, list(intake.identity.keys.values()))
    new = [p.id for p in intake.problems if intake.identity.keys[p.id] not in reused]
    # Within one process all problems in flight can be of one shard.
    spread = 1 if recipe.run.runner == "threads" else recipe.run.workers
    count = shards_for(len(new), len(intake.problems), recipe.run.shards, spread)
    shards = {id: s.index for s in cut_shards(new, count) for id in s.problem_ids}
    rows = problem_rows(run_id, intake.problems, intake.identity.keys, shards)
    set_aside = quarantine_rows(run_id, intake.quarantined)
    if set_aside:
        lake.tables.append_once(
            "quarantine",
            pa.Table.from_pylist(set_aside, schema=SCHEMAS["quarantine"]),
            f"{run_id}/intake",
        )
    plan = pa.Table.from_pylist(rows, schema=SCHEMAS["problems"])
    asked = plan.select(["problem_id", "question", "answer", "source"])
    checked = check_problems(asked, ProblemBounds(warn=frozenset(recipe.contract.warn)))
    store_result(lake, run_id, checked)
    if not checked.holds:
        raise ContractBroken(checked.explain())
    document = document.model_copy(
        update={"problems": intake.rows, "search": intake.identity.search, **_told(intake.engines)}
    )
    save_run(lake, document)
    places = {intake.identity.keys[id]: shard for id, shard in shards.items()}
    header = journal_header(run_id, document.engines)
    if rounds := adopt(lake, document.search, header, places):
        JOURNALS_LOG.info("%d rounds were decided by other runs and are taken up", rounds)
    lake.tables.append_once("problems", plan, f"{run_id}/plan")


def _check_engines(lake: Lake, run_id: str) -> None:
    """A run that is resumed goes on with the models it began with, or not at all."""
    document = require_run(lake, run_id)
    if all(state.decoded for state in shard_states(lake, run_id)):
        return
    recipe, folder = load_recipe_of(lake, run_id)
    try:
        engines = asyncio.run(open_ensemble(recipe, Path(folder)).describe())
    except EngineUnreachable:
        if recipe.run.on_teacher_lost != "continue":
            raise
        return  # whoever is missing cannot be asked
    if search_fingerprint(recipe, engines) != document.search:
        raise UsageError(
            f"the models of run {run_id} have changed since it was started (it had "
            f"{'; '.join(f'{name}: {engine}' for name, engine in document.engines.items())}): "
            "serve the same ones again, or run the recipe again: it makes a new run and keeps what "
            "is still the same"
        )
    save_run(lake, document.model_copy(update=_told(engines)))


def _told(infos: Mapping[str, EngineInfo]) -> dict[str, object]:
    """What the run's document says of its engines."""
    engines = {name: f"{i.model} on {i.engine}" for name, i in infos.items()}
    for role in (META_PROVER, JUDGE, REWARD_MODEL):
        if role in infos and (way := infos[role].scoring):
            engines[role] += f", scoring by {way}"
    return {
        "engines": engines,
        "reproducible": all(info.reproducible for info in infos.values()),
    }
