"""`cord check`: is the recipe right, are its models there, will its problems do."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cord.engines import EngineInfo
from cord.errors import UsageError
from cord.recipe import Model, Recipe
from cord.types import Quarantined
from flows.command_line.estimating import print_estimate
from flows.command_line.options import Json, RecipePath
from flows.command_line.terminal import print_json, print_table, say, watching

if TYPE_CHECKING:
    from cord.estimate import Estimate
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
    pilot: Annotated[
        int | None,
        typer.Option(min=2, help="Decode so many problems, keep nothing, and estimate from them."),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option(min=1, help="With --pilot: GPUs behind the urls, to count their hours."),
    ] = None,
    json: Json = False,
) -> None:
    """Validate a recipe, read its problems, probe its teachers, and estimate what it will cost.

    The estimate is the paper's figures', or a pilot's. Without --pilot nothing is decoded."""
    from cord.ablation.recipe import Ablation
    from cord.recipe_kinds import load_any_recipe
    from flows.command_line.checking_ablation import check_ablation
    from flows.command_line.checking_students import check_student_recipe

    loaded = load_any_recipe(recipe)
    folder = recipe.resolve().parent
    if pilot is None and gpus is not None:
        raise UsageError("--gpus is for --pilot: from the paper, the hours are its own cards'")
    if pilot is not None and (offline or not isinstance(loaded, Recipe)):
        why = "asks the models" if offline else "is for recipes of `cord run`"
        raise UsageError(f"--pilot {why}; leave {'one of the two' if offline else 'it'} out")
    if isinstance(loaded, Ablation):
        check_ablation(recipe, loaded, folder, json)
        return
    if not isinstance(loaded, Recipe):
        check_student_recipe(recipe, loaded, folder, offline, json)
        return
    if loaded.run.runner == "ray":
        from flows.ray_cluster import require_ray

        require_ray(loaded)
    if offline:
        _check_offline(recipe, loaded, folder, json)
    else:
        _probe(recipe, loaded, folder, json, pilot, gpus)


def _probe(
    path: Path, recipe: Recipe, folder: Path, json: bool, pilot: int | None, gpus: int | None
) -> None:
    from cord.ensemble import open_ensemble
    from cord.estimate import from_paper, from_pilot
    from cord.intake import Intake, take_in
    from flows.servers import servers_end, showing_starts

    ensemble = open_ensemble(recipe, folder)

    async def probe() -> tuple[Intake, Estimate]:
        await ensemble.start()
        taken = await take_in(recipe, folder, ensemble)
        if pilot is None or not taken.problems:
            return taken, from_paper(recipe, len(taken.problems))
        from cord.pilot import drawn, fly

        problems = drawn(taken.problems, pilot, recipe.run.seed)
        say(f"pilot: decoding {len(problems)} of {len(taken.problems)} problems; nothing is kept")
        begun = time.monotonic()
        flown = await fly(recipe, ensemble, problems)
        seconds = time.monotonic() - begun
        return taken, from_pilot(
            recipe, flown, len(taken.problems), seconds, gpus or _gpus_of(recipe)
        )

    with servers_end(say), watching():
        intake, estimate = asyncio.run(showing_starts(probe()))
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
                "estimate": estimate.to_json(),
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
    print_estimate(estimate, counted=True)
    say(
        f"{path}: {intake.rows} rows, {len(intake.problems)} problems, "
        f"{len(intake.quarantined)} for quarantine; the run will be {run_id}"
    )


def _check_offline(path: Path, recipe: Recipe, folder: Path, json: bool) -> None:
    from cord.decontamination.sets import is_local, read_sets
    from cord.estimate import from_paper
    from cord.problems import read_problems

    away = [name for name in recipe.decontaminate.against if not is_local(name)]
    read_sets([name for name in recipe.decontaminate.against if name not in away], folder)
    read = read_problems(recipe.problems, folder) if recipe.problems.local else None
    models: dict[str, Model] = {teacher.name: teacher for teacher in recipe.teachers}
    models |= recipe.roles
    estimate = from_paper(recipe, 1 if read is None else len(read.problems))
    if json:
        told = {"recipe": recipe.name, **_counted(read), "models": _named(models)}
        print_json({**told, "estimate": estimate.to_json()})
        return
    print_table(
        ("name", "model", "engine", "where"),
        [(name, m["model"], m["engine"], m["where"]) for name, m in _named(models).items()],
    )
    print_estimate(estimate, counted=read is not None)
    if read is None:
        where = recipe.problems.path
        _say_not_read(away)
        say(f"{path} is valid; its problems lie at {where}, where it was not looked")
        return
    _say_quarantined(read.quarantined)
    _say_not_read(away)
    say(
        f"{path} is valid: {read.rows} rows, {len(read.problems)} problems, "
        f"{len(read.quarantined)} for quarantine; its models were not asked"
    )


def _say_not_read(sets: list[str]) -> None:
    if sets:
        say(f"evaluation sets that lie elsewhere were not read: {', '.join(sets)}")


def _gpus_of(recipe: Recipe) -> int | None:
    """Those that cord serves on; None where another one serves too, or it is not said."""
    models: list[Model] = [*recipe.teachers, recipe.meta_prover_model]
    if not all(m.managed and m.serve is not None and m.serve.gpus for m in models):
        return None
    return len({gpu for m in models if m.serve is not None for gpu in m.serve.gpus})


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
