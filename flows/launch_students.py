"""From a student's recipe to its flow: read it, look what is there, carry it out.

Prefect is started only when there is something to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cord.engines.managed.serving import serving_of
from cord.engines.vllm.availability import Patience
from cord.ensemble import open_engine
from cord.errors import CordError
from cord.lake import Lake, open_lake
from cord.lake.evaluations import save_results
from cord.recipe_file import load_recipe
from cord.students.benchmarks import read_benchmark
from cord.students.conversations import read_conversations
from cord.students.distil import Training, finished, runs_apart, training_fingerprint
from cord.students.evaluate import complete
from cord.students.recipe import DistillRecipe, EvaluatedModel, EvaluateRecipe
from cord.students.start import find_start
from flows.at_work import in_its_own_thread
from tasks.board import BOARD

STUDENTS = Path("students")


@dataclass(frozen=True)
class DistillLaunch:
    """A training that is to be carried out, or is done."""

    recipe: DistillRecipe
    folder: Path
    """The recipe's."""
    lake: str | None
    """None: its data are in no lake."""
    out: Path
    conversations: int
    source: str
    done: Training | None


@dataclass(frozen=True)
class EvaluateLaunch:
    """An evaluation that is to be carried out."""

    recipe: EvaluateRecipe
    folder: Path
    lake: Lake


def prepare_distill(recipe_path: Path, lake_uri: str, out: Path | None) -> DistillLaunch:
    """Read the recipe and its data, and look whether the student is there already.

    Raises `RecipeError`, `LakeError`, and `UsageError` for data, a starting point or a folder that
    cannot be used."""
    recipe = load_recipe(recipe_path, kind=DistillRecipe)
    folder = recipe_path.resolve().parent
    lake = open_lake(lake_uri) if recipe.data.file is None else None
    start = find_start(recipe.student, folder, recipe.revision)
    data = read_conversations(recipe.data, folder, lake, recipe.train.seed)
    out = out if out is not None else STUDENTS / recipe.name
    done = finished(out, training_fingerprint(start, data, recipe.train, recipe.instructions))
    if done is None:
        runs_apart(recipe.train)  # raises what is missing for it
    return DistillLaunch(
        recipe=recipe,
        folder=folder,
        lake=lake.uri if lake is not None else None,
        out=out,
        conversations=len(data.rows),
        source=data.source,
        done=done,
    )


def carry_out_distill(launch: DistillLaunch) -> dict[str, Any]:
    """Run the flow; returns what `training.json` holds. Raises what the flow raises."""

    def flow() -> Any:
        from flows.distill import distill

        recipe = launch.recipe.model_dump(mode="json")
        given = (launch.recipe.name, recipe, str(launch.folder), launch.lake, str(launch.out))
        return distill(*given, return_state=True).result()

    return _with_prefect(flow)


def prepare_evaluate(recipe_path: Path, lake_uri: str) -> EvaluateLaunch:
    """Read the recipe, and open the lake. Raises `RecipeError`, `LakeError`."""
    recipe = load_recipe(recipe_path, kind=EvaluateRecipe)
    return EvaluateLaunch(recipe, recipe_path.resolve().parent, open_lake(lake_uri, create=True))


def known_results(launch: EvaluateLaunch) -> dict[str, Any] | None:
    """The results, where all answers are in the lake; no server is started to find that out.

    Raises `ProblemsError`, `EngineError` for a server that is not there, `LakeError`."""
    recipe, results, shares = launch.recipe, [], {}
    everything = {b.name: read_benchmark(b, launch.folder).problems for b in recipe.benchmarks}
    for model in recipe.models:
        identity = _identity(launch, model)
        for benchmark in recipe.benchmarks:
            problems = everything[benchmark.name]
            how = (recipe.seed, recipe.instructions, launch.lake)
            done = complete(identity, model.name, benchmark, problems, *how)
            if done is None:
                return None
            results.append(done.result.to_json())
            shares[model.name, benchmark.name] = done.shares()
    from flows.evaluate import told_of

    told = told_of(recipe.name, results, shares, recipe.seed)
    save_results(launch.lake, recipe.name, told)
    return told


def _identity(launch: EvaluateLaunch, model: EvaluatedModel) -> str:
    if model.managed:
        return serving_of(model, launch.folder).identity()
    patience = Patience(total_s=launch.recipe.server_deadline_s)
    engine = open_engine(model, launch.recipe.instructions, launch.folder, patience)
    return asyncio.run(engine.describe()).identity


def carry_out_evaluate(launch: EvaluateLaunch) -> dict[str, Any]:
    """Run the flow; returns all figures. Raises what the flow raises."""

    def flow() -> Any:
        from flows.evaluate import evaluate

        recipe = launch.recipe.model_dump(mode="json")
        given = (launch.recipe.name, recipe, str(launch.folder), launch.lake.uri)
        return evaluate(*given, return_state=True).result()

    return _with_prefect(flow)


def _with_prefect(flow: Callable[[], Any]) -> dict[str, Any]:
    def work() -> dict[str, Any]:
        from flows.prefect_server import prefect_server

        BOARD.stop.clear()
        BOARD.enter("starting Prefect")
        with prefect_server():
            try:
                result = flow()
            except httpx.TransportError as error:
                raise CordError(
                    f"the Prefect server does not answer ({type(error).__name__}: {error}); start "
                    "it again, or unset PREFECT_API_URL: cord then starts one of its own"
                ) from None
        assert isinstance(result, dict)
        return result

    return in_its_own_thread(work)
