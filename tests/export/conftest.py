"""A lake with a release whose records were searched by scripted teachers."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from doubles.scripted_engine import ScriptedEngine

from cord.answers import stated_answer
from cord.engines import ProposalRequest
from cord.lake import Lake, open_lake
from cord.lake.releases.manifest import Manifest
from cord.lake.releases.release import publish
from cord.lake.runs.run import save_recipe
from cord.lake.runs.run_tables import judged_batches
from cord.lake.tables.rows import problem_rows, step_rows, trajectory_rows, verdict_row
from cord.lake.tables.schemas import SCHEMAS
from cord.plan import verdict_key, verdict_keys
from cord.prompts import split_thinking
from cord.recipe import Recipe
from cord.recipe_file import parse_recipe
from cord.record_batches import record_batch, standings, whole_problems
from cord.records import choose
from cord.scoring.simple import RandomChoice
from cord.search import Seat, decode
from cord.types import Decoding, Problem, Verdict

RECIPE = parse_recipe(
    """
name: pairs
problems: {path: p.jsonl}
teachers:
  - {name: ada, model: "cord:ada"}
  - {name: ben, model: "cord:ben"}
meta_prover: ada
search: {width: 3, max_steps: 4, max_step_tokens: 48, max_tokens: 400}
"""
)
PROBLEMS = [Problem(f"p{n}", f"Start {n}; +{n}; +1", str((2 * n + 1) % 10)) for n in range(8)]


def teacher(name: str, answers: dict[str, str]) -> ScriptedEngine:
    """Right every other time."""

    def say(request: ProposalRequest) -> str:
        dice = random.Random(f"{name}{request.seed}")
        left, right = dice.randrange(10), dice.randrange(10)
        said = f" {left}+{right}={(left + right) % 10}\n"
        if len(request.steps) < 2:
            return said + "### Step"
        answer = answers[request.question] if dice.random() < 0.5 else str(dice.randrange(10))
        return f"{said}</think>\n\nThe final answer is \\boxed{{{answer}}}"

    return ScriptedEngine(say, name=name)


def searched(problem: Problem, recipe: Recipe) -> Decoding:
    answers = {problem.question: problem.answer}
    seats = [Seat(t.name, teacher(t.name, answers), 0.6) for t in recipe.teachers]
    return asyncio.run(decode(problem, seats, RandomChoice(), recipe.search, 3))


def judge(decoding: Decoding, rank: int) -> Verdict:
    trajectory = decoding.trajectories[rank]
    stated = stated_answer(split_thinking(trajectory.text)[1] or "")
    right = trajectory.finished and stated == decoding.problem.answer
    return Verdict("correct" if right else "wrong", "exact", "compared")


def fill(lake: Lake, run_id: str, recipe: Recipe = RECIPE) -> None:
    """A run's tables."""
    save_recipe(lake, run_id, recipe, "/")
    keys = {problem.id: f"key-{problem.id}" for problem in PROBLEMS}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
    rows["problems"] = problem_rows(run_id, PROBLEMS, keys, {p.id: 0 for p in PROBLEMS})
    for problem in PROBLEMS:
        decoding, key = searched(problem, recipe), keys[problem.id]
        rows["steps"] += step_rows(run_id, key, decoding)
        trajectories = trajectory_rows(run_id, key, decoding)
        rows["trajectories"] += trajectories
        for rank, row in enumerate(trajectories):
            verdict = judge(decoding, rank)
            rows["verdicts"].append(verdict_row(run_id, verdict_key(recipe, key), row, verdict))
    for table in ("problems", "steps", "trajectories", "verdicts"):
        made = pa.Table.from_pylist(rows[table], schema=SCHEMAS[table])
        lake.tables.append_once(table, made, f"{run_id}/{table}")


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Manifest]:
    """The lake and its release; both are only looked at."""
    folder: Path = tmp_path_factory.mktemp("pairs")
    lake = open_lake(str(folder / "lake"), create=True)
    fill(lake, "run")
    made = []
    for rows in whole_problems(judged_batches(lake, "run", [0], verdict_keys(RECIPE))):
        places = [one.place for one in choose(standings(rows), "all").records]
        made.append(record_batch(rows.take(pa.array(places, pa.int64())), "math"))
    table = pa.Table.from_batches(made).drop_columns(["outcome"])
    return lake, publish(lake, "pairs", table, "run", "f", {"holds": True}, {}).manifest
