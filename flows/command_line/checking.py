"""`cord check`: is the recipe right, are its models there, will its problems do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cord.engines import EngineInfo
from cord.recipe import Model, Recipe
from cord.types import Quarantined
from flows.command_line.options import Json, RecipePath
from flows.command_line.terminal import print_json, print_table, say, watching

if TYPE_CHECKING:
    from cord.problems import ProblemSet

SHOWN = 20
"""Rows for quarantine that are printed."""


def add_to(app: typer.Typer) -> None:
    """Hang this command onto the command line."""
    app.command()(check)


def check(
    recipe: RecipePath,
    offline: Annotated[
        bool,
        typer.Option(help="Contact no server and no hub: the recipe and local problems only."),
    ] = False,
    json: Json = False,
) -> None:
    """Validate a recipe, read its problems, and probe its teachers. Nothing is decoded."""
    from cord.recipe_kinds import load_any_recipe
    from flows.command_line.checking_students import check_student_recipe

    loaded = load_any_recipe(recipe)
    folder = recipe.resolve().parent
    if not isinstance(loaded, Recipe):
        check_student_recipe(recipe, loaded, folder, offline, json)
        return
    if offline:
        _check_offline(recipe, loaded, folder, json)
    else:
        _probe(recipe, loaded, folder, json)


def _probe(path: Path, recipe: Recipe, folder: Path, json: bool) -> None:
    from cord.ensemble import open_ensemble
    from cord.intake import Intake, take_in
    from flows.servers import servers_end, showing_starts

    ensemble = open_ensemble(recipe, folder)

    async def probe() -> Intake:
        await ensemble.start()
        return await take_in(recipe, folder, ensemble)

    with servers_end(say), watching():
        intake = asyncio.run(showing_starts(probe()))
    run_id = intake.identity.run_id(recipe.name)
    if json:
        print_json(
            {
                "recipe": recipe.name,
                "run_id": run_id,
                "rows": intake.rows,
                "problems": len(intake.problems),
                "quarantined": _listed(intake.quarantined),
                "engines": {
                    name: {
                        "model": info.model,
                        "engine": info.engine,
                        "context": info.context,
                        "reproducible": info.reproducible,
                        "scores": info.scores,
                        "scoring": info.scoring,
                    }
                    for name, info in intake.engines.items()
                },
            }
        )
        return
    print_table(
        ("name", "model", "engine", "context", "same seed, same tokens", "scores"),
        [
            (name, i.model, i.engine, i.context, _yes(i.reproducible), _scores(i))
            for name, i in intake.engines.items()
        ],
    )
    _say_quarantined(intake.quarantined)
    say(
        f"{path}: {intake.rows} rows, {len(intake.problems)} problems, "
        f"{len(intake.quarantined)} for quarantine; the run will be {run_id}"
    )


def _check_offline(path: Path, recipe: Recipe, folder: Path, json: bool) -> None:
    from cord.problems import read_problems

    read = read_problems(recipe.problems, folder) if recipe.problems.local else None
    models: dict[str, Model] = {teacher.name: teacher for teacher in recipe.teachers}
    models |= recipe.roles
    if json:
        print_json({"recipe": recipe.name, **_counted(read), "models": _named(models)})
        return
    print_table(
        ("name", "model", "engine", "where"),
        [(name, m["model"], m["engine"], m["where"]) for name, m in _named(models).items()],
    )
    if read is None:
        where = recipe.problems.path
        say(f"{path} is valid; its problems lie at {where}, where it was not looked")
        return
    _say_quarantined(read.quarantined)
    say(
        f"{path} is valid: {read.rows} rows, {len(read.problems)} problems, "
        f"{len(read.quarantined)} for quarantine; its models were not asked"
    )


def _counted(read: ProblemSet | None) -> dict[str, Any]:
    if read is None:
        return {"rows": None, "problems": None, "quarantined": None}
    quarantined = _listed(read.quarantined)
    return {"rows": read.rows, "problems": len(read.problems), "quarantined": quarantined}


def _named(models: dict[str, Model]) -> dict[str, dict[str, str]]:
    return {
        name: {"model": m.model, "engine": m.kind, "where": m.url or _here(m)}
        for name, m in models.items()
    }


def _here(model: Model) -> str:
    if not model.managed:
        return "in cord's process"
    gpus = model.serve.gpus if model.serve is not None else ()
    return f"served by cord, GPU {', '.join(map(str, gpus))}" if gpus else "served by cord"


def _listed(quarantined: tuple[Quarantined, ...]) -> list[dict[str, str]]:
    return [
        {"source": q.source, "problem_id": q.problem_id, "reason": q.reason} for q in quarantined
    ]


def _say_quarantined(quarantined: tuple[Quarantined, ...]) -> None:
    for row in quarantined[:SHOWN]:
        say(f"will be quarantined: {row.source or row.problem_id}: {row.reason}")
    if (more := len(quarantined) - SHOWN) > 0:
        say(f"and {more} more; --json lists all")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _scores(info: EngineInfo) -> str:
    """Whether it can be the meta-prover, and how it is then asked; what a reward model gives."""
    if not info.scores:
        return info.scoring or "no"
    return f"yes: {info.scoring}" if info.scoring else "yes"
