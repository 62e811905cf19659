"""Measure one model on one benchmark."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from prefect import task

from cord.engines.vllm.availability import Patience
from cord.ensemble import open_engine
from cord.lake import open_lake
from cord.lake.evaluations import save_results
from cord.students.benchmarks import read_benchmark
from cord.students.evaluate import evaluate
from cord.students.recipe import EvaluateRecipe
from tasks import artifacts
from tasks.board import BOARD
from tasks.policy import OPTIONS


@task(name="evaluate", task_run_name="evaluate {model} on {benchmark}", **OPTIONS)
def evaluate_model(
    lake_uri: str, recipe: dict[str, Any], folder: str, model: str, benchmark: str
) -> dict[str, Any]:
    """Sample and judge what is missing in the lake.

    Returns {"result": the figures, "shares": {problem: share of its samples that is correct}}."""
    wanted = EvaluateRecipe.model_validate_json(json.dumps(recipe))
    named = next(one for one in wanted.models if one.name == model)
    chosen = next(one for one in wanted.benchmarks if one.name == benchmark)
    BOARD.enter(f"reading {benchmark}")
    problems = read_benchmark(chosen, Path(folder)).problems
    patience = Patience(total_s=wanted.server_deadline_s)
    engine = open_engine(named, wanted.instructions, Path(folder), patience)
    BOARD.begin(len(problems) * chosen.samples, "answers")
    BOARD.enter(f"{model} on {benchmark}")
    done = asyncio.run(
        evaluate(
            *(engine, model, chosen, problems, wanted.seed, wanted.instructions),
            lake=open_lake(lake_uri),
            in_flight=wanted.in_flight,
            watch=BOARD.answered,
            stop=BOARD.stop,
        )
    )
    return {"result": done.result.to_json(), "shares": done.shares()}


@task(name="results", task_run_name="results {name}", **OPTIONS)
def keep_results(lake_uri: str, name: str, results: dict[str, Any]) -> None:
    """Write the results into the lake, and show them."""
    save_results(open_lake(lake_uri), name, results)
    artifacts.table(name, "results", list(results["results"]), f"Pass@1 of {name}")
