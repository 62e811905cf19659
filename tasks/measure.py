"""Measure one cell of an ablation: what its kept trajectories are worth, whatever chose them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from prefect import task

from cord.ablation.measures import Measures, load_measures, measure, save_measures
from cord.ensemble import open_ensemble
from cord.lake import Lake, open_lake
from cord.lake.runs.run import load_recipe_of
from cord.lake.runs.run_tables import judged, set_aside, trajectories_of, verdicts_of
from cord.plan import verdict_key
from cord.usage import usage_of
from tasks.board import BOARD
from tasks.policy import OPTIONS


@task(name="measure", task_run_name="measure {run_id}", **OPTIONS)
def measure_cell(lake_uri: str, run_id: str, checks_steps: bool) -> dict[str, Any]:
    """Measure a finished run's best trajectories and keep the measures with it.

    With `checks_steps` every step is checked, which needs the miniature's problems. Returns
    {"run_id", "problems", "correct"}."""
    lake = open_lake(lake_uri)
    measures = load_measures(lake, run_id)
    if measures is None:
        BOARD.enter("measuring")
        measures = _measure(lake, run_id, checks_steps)
        save_measures(lake, run_id, measures)
    correct = sum(m.correct for m in measures.problems)
    return {"run_id": run_id, "problems": len(measures.problems), "correct": correct}


def _measure(lake: Lake, run_id: str, checks_steps: bool) -> Measures:
    recipe, folder = load_recipe_of(lake, run_id)
    best = [row for row in trajectories_of(lake, run_id) if row["rank"] == 0]
    keys = [verdict_key(recipe, row["key"], row["domain"]) for row in best]
    verdicts = verdicts_of(lake, set(keys))
    rows = [
        (judged(row, verdicts[key, 0]), int(row["proposed_tokens"]))
        for row, key in zip(best, keys, strict=True)
    ]
    meta_prover = open_ensemble(recipe, Path(folder)).meta_prover
    reused = all(row["run_id"] != run_id for row in best)
    seconds = usage_of(lake, run_id).seconds / max(1, len(best))
    return Measures(
        problems=asyncio.run(measure(rows, meta_prover, checks_steps)),
        quarantined=set_aside(lake, run_id),
        seconds=None if reused else seconds,
    )
