"""`cord run`, `cord resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cord.errors import ContractBroken, CordError, RunLost, UsageError
from cord.lake.releases.release import newest_release
from cord.lake.runs.run import state_in_words
from cord.recipe import Recipe
from cord.recipe_file import load_recipe
from cord.scheduler import Stopped
from flows.command_line.options import Json, LakeUri, RecipePath
from flows.command_line.planning import print_plan, say_plan
from flows.command_line.summary import print_summary
from flows.command_line.terminal import (
    print_json,
    say,
    stopping_gently,
    watching,
)


def add_to(app: typer.Typer) -> None:
    """Hang these commands onto the command line."""
    app.command()(run)
    app.command()(resume)


def run(
    recipe: RecipePath,
    lake: LakeUri = "./lake",
    run_id: Annotated[
        str | None, typer.Option(help="Name of the run; by default made from its content.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Use this seed instead of the recipe's.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write and decode nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Run a recipe: problems to a release. What the lake has is not made again."""
    from flows.launch import prepare
    from flows.servers import servers_end

    overrides = {} if seed is None else {"run.seed": seed}
    if dry_run and run_id is not None:
        raise UsageError("--dry-run plans the run that the recipe's content names; no --run-id")
    say(f"cord: reading {recipe}")
    with servers_end(say):
        if dry_run:
            show_plan(load_recipe(recipe, overrides), recipe.resolve().parent, lake, json)
            return
        with watching():
            launch = prepare(recipe, lake, run_id, overrides)
        if launch.plan is not None:
            say_plan(launch.plan)
        _launch(launch, json)


def show_plan(recipe: Recipe, folder: Path, lake: str, json: bool) -> None:
    """Read a recipe's problems, name its models, and say what a run would do."""
    from flows.launch import plan_of

    with watching():
        plan = plan_of(recipe, folder, lake)
    if json:
        print_json(plan.to_json())
    else:
        print_plan(plan)
        say(f"cord: the run will be {plan.run_id}; nothing was written, nothing decoded")


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
            if (newest := _newer(launch)) is not None:
                say(
                    f"cord: the newest release is {newest}, of another run; "
                    "`cord run RECIPE --run-id NAME` publishes these records again"
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


def _newer(launch: Any) -> str | None:
    """The data set's newest release, where it is not that of this finished run."""
    newest = newest_release(launch.lake, launch.recipe.name)
    mine = newest is None or launch.done.release == newest.label
    return None if mine or newest is None else newest.label


def _show(summary: dict[str, Any], json: bool) -> None:
    """A run's summary; a run that was refused before decoding has none."""
    if not summary:
        return
    if json:
        print_json(summary)
    else:
        print_summary(summary)
