"""`cord check`, `cord run`, `cord resume`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from cord.engines import EngineInfo
from cord.errors import ContractBroken, CordError, RunLost
from cord.lake.runs import state_in_words
from cord.scheduler import Stopped
from flows.command_line.options import Json, LakeUri
from flows.command_line.summary import print_summary
from flows.command_line.terminal import (
    print_json,
    print_table,
    say,
    stopping_gently,
    watching,
)

RecipePath = Annotated[Path, typer.Argument(help="The recipe, a YAML file.")]


def add_to(app: typer.Typer) -> None:
    """Hang these commands onto the command line."""
    app.command()(check)
    app.command()(run)
    app.command()(resume)


def check(recipe: RecipePath, json: Json = False) -> None:
    """Validate a recipe, read its problems, and probe its teachers. Nothing is decoded."""
    from cord.ensemble import open_ensemble
    from cord.intake import Intake, take_in
    from cord.recipe_file import load_recipe
    from flows.servers import servers_end, showing_starts

    loaded = load_recipe(recipe)
    folder = recipe.resolve().parent
    ensemble = open_ensemble(loaded, folder)

    async def probe() -> Intake:
        await ensemble.start()
        return await take_in(loaded, folder, ensemble)

    with servers_end(say), watching():
        intake = asyncio.run(showing_starts(probe()))
    if json:
        print_json(
            {
                "recipe": loaded.name,
                "run_id": intake.identity.run_id(loaded.name),
                "rows": intake.rows,
                "problems": len(intake.problems),
                "quarantined": [
                    {"source": q.source, "problem_id": q.problem_id, "reason": q.reason}
                    for q in intake.quarantined
                ],
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
    for row in intake.quarantined[:20]:
        say(f"will be quarantined: {row.source or row.problem_id}: {row.reason}")
    say(
        f"{recipe}: {intake.rows} rows, {len(intake.problems)} problems, "
        f"{len(intake.quarantined)} for quarantine; the run will be "
        f"{intake.identity.run_id(loaded.name)}"
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _scores(info: EngineInfo) -> str:
    """Whether it can be the meta-prover, and how it is then asked."""
    return f"yes: {info.scoring}" if info.scoring else _yes(info.scores)


def run(
    recipe: RecipePath,
    lake: LakeUri = "./lake",
    run_id: Annotated[
        str | None, typer.Option(help="Name of the run; by default made from its content.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Use this seed instead of the recipe's.")] = None,
    json: Json = False,
) -> None:
    """Run a recipe: problems to a release. What the lake has is not made again."""
    from flows.launch import prepare
    from flows.servers import servers_end

    overrides = {} if seed is None else {"run.seed": seed}
    say(f"cord: reading {recipe}")
    with servers_end(say):
        with watching():
            launch = prepare(recipe, lake, run_id, overrides)
        _launch(launch, json)


def resume(
    run: Annotated[str, typer.Argument(help="The run, as `cord runs` names it.")],
    lake: LakeUri = "./lake",
    json: Json = False,
) -> None:
    """Go on with an interrupted or failed run: only what is missing is done."""
    from flows.launch import prepare_resume

    _launch(prepare_resume(run, lake), json)


def _launch(launch: Any, json: bool) -> None:
    """Carry a run out, or say that there is nothing to do."""
    from flows.launch import carry_out
    from flows.servers import servers_end
    from tasks.report import stored_summary

    if launch.done is not None:
        if json:
            print_json({**stored_summary(launch.lake, launch.run_id), "nothing_to_do": True})
        else:
            state = state_in_words("completed", launch.done.quarantined)
            say(
                f"cord: nothing to do: run {launch.run_id} is {state} in {launch.lake_uri}; "
                f"its release is {launch.done.release or 'none (no record to publish)'}"
            )
        return
    say(f"cord: run {launch.run_id} into {launch.lake_uri}")
    try:
        with stopping_gently(), watching(), servers_end(say):
            summary = carry_out(launch)
    except ContractBroken as error:
        summary = stored_summary(launch.lake, launch.run_id)
        if not json:
            _show(summary, json)
        raise ContractBroken(str(error), summary) from None
    except Stopped:
        raise Stopped(
            f"stopped; what is decoded is in the lake: `cord resume {launch.run_id}` goes on"
        ) from None
    except RunLost:
        raise
    except CordError as error:
        error.args = (
            f"run {launch.run_id} failed: {error}\n"
            f"What is done is in the lake: `cord resume {launch.run_id}` does the rest",
        )
        raise
    _show(summary, json)
    state = state_in_words(str(summary.get("state", "completed")), summary.get("quarantined"))
    say(f"cord: run {launch.run_id} {state}; its release is {summary.get('release') or 'none'}")


def _show(summary: dict[str, Any], json: bool) -> None:
    """A run's summary; a run that was refused before decoding has none."""
    if not summary:
        return
    if json:
        print_json(summary)
    else:
        print_summary(summary)
