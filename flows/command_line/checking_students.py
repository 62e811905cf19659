"""`cord check` of the recipes of `cord distill` and `cord evaluate`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from cord.engines import EngineInfo
from cord.errors import RecipeError
from cord.recipe.section import Section
from cord.students.recipe import Benchmark, DistillRecipe, EvaluatedModel, EvaluateRecipe
from flows.command_line.terminal import print_json, print_table, say


def check_student_recipe(
    path: Path, recipe: Section, folder: Path, offline: bool, json: bool
) -> None:
    """Say what a valid recipe will do; `offline` asks no server and no hub.

    Raises what stands in its way, as far as it can be seen from here."""
    if isinstance(recipe, DistillRecipe):
        _check_distill(path, recipe, folder, json)
    elif isinstance(recipe, EvaluateRecipe):
        _check_evaluate(path, recipe, folder, offline, json)
    else:
        raise RecipeError(f"{path}: `cord check` does not know this kind of recipe")


def _check_distill(path: Path, recipe: DistillRecipe, folder: Path, json: bool) -> None:
    from cord.students.start import find_start

    start = find_start(recipe.student, folder, recipe.revision)
    where = str(start.folder) if start.folder is not None else "on the hub"
    if json:
        settings = recipe.train.model_dump(mode="json")
        shown = {"recipe": recipe.name, "student": recipe.student, "where": where}
        print_json({**shown, "data": recipe.data.told, "train": settings})
        return
    print_table(("setting", "value"), settings_rows(recipe))
    say(f"{path} is valid; its student is {where}, its data ({recipe.data.told}) was not looked at")


def settings_rows(recipe: DistillRecipe) -> list[tuple[str, str]]:
    """The hyper-parameters, for a table."""
    rows = [("student", recipe.student), ("data", recipe.data.told)]
    rows += [
        (name, str(value))
        for name, value in recipe.train.model_dump(mode="json").items()
        if value is not None
    ]
    return rows


def _check_evaluate(
    path: Path, recipe: EvaluateRecipe, folder: Path, offline: bool, json: bool
) -> None:
    from cord.students.benchmarks import read_benchmark

    found: dict[str, Any] = {}
    for benchmark in recipe.benchmarks:
        if benchmark.problems.local or not offline:
            read = read_benchmark(benchmark, folder)
            found[benchmark.name] = {
                "problems": len(read.problems),
                "unusable": [f"{q.source}: {q.reason}" for q in read.quarantined],
            }
        else:
            found[benchmark.name] = {"problems": None, "unusable": []}
    engines = {} if offline else _described(recipe, folder)
    if json:
        models = {m.name: {"model": m.model, "engine": m.kind, "url": m.url} for m in recipe.models}
        print_json(
            {
                "recipe": recipe.name,
                "models": models,
                "benchmarks": found,
                "engines": {name: info.engine for name, info in engines.items()},
            }
        )
        return
    print_table(
        ("benchmark", "problems", "rule", "samples", "temperature", "max_tokens"),
        [_benchmark_row(one, found[one.name]["problems"]) for one in recipe.benchmarks],
    )
    print_table(
        ("name", "model", "engine"),
        [
            (m.name, m.model, engines[m.name].engine if m.name in engines else m.kind)
            for m in recipe.models
        ],
    )
    for name, one in found.items():
        for reason in one["unusable"][:5]:
            say(f"{name}: left out: {reason}")
    unread = [name for name, one in found.items() if one["problems"] is None]
    said = f"; {', '.join(unread)} lie on the hub, where it was not looked" if unread else ""
    say(f"{path} is valid{said}{'; its models were not asked' if offline else ''}")


def _benchmark_row(one: Benchmark, problems: int | None) -> tuple[object, ...]:
    shown = "not read" if problems is None else problems
    return (one.name, shown, one.rule, one.samples, one.temperature, one.max_tokens)


def _described(recipe: EvaluateRecipe, folder: Path) -> dict[str, EngineInfo]:
    """What the models that are there already say of themselves; none is started for it."""
    from cord.engines.vllm.availability import Patience
    from cord.ensemble import open_engine

    async def describe(model: EvaluatedModel) -> EngineInfo:
        patience = Patience(total_s=recipe.server_deadline_s)
        return await open_engine(model, recipe.instructions, folder, patience).describe()

    there = [model for model in recipe.models if not model.managed]
    return {model.name: asyncio.run(describe(model)) for model in there}
