"""From a recipe to a run: name it, look what the lake has, lay it down, carry it out.

Prefect is started only when there is something to do: a repeated run says so in seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cord.changes.refresh_plan import RefreshPlan, hold_withdrawn, plan_refresh
from cord.changes.words import page
from cord.ensemble import open_ensemble
from cord.errors import CordError, LakeError, UsageError
from cord.intake import Intake, pin_releases, take_in
from cord.lake import Lake, open_lake
from cord.lake.releases.release import newest_release
from cord.lake.runs.holding import Hold, refuse_if_held
from cord.lake.runs.plan_page import keep_page
from cord.lake.runs.progress import shard_states
from cord.lake.runs.run import (
    RunDocument,
    check_run_id,
    load_recipe_of,
    load_run,
    now,
    require_run,
    save_recipe,
    save_run,
)
from cord.lake.stores.store import open_store
from cord.recipe import Recipe
from cord.recipe_file import load_recipe
from flows.at_work import at_work, begun, hold_run, in_its_own_thread
from flows.servers import any_managed, showing_starts
from tasks.board import BOARD, DASHBOARD_LOG

MAX_WITHDRAWN = 0.5
"""Of a scheduled refresh, where its recipe says nothing (`contract.max_withdrawn`)."""


@dataclass(frozen=True)
class Launch:
    """A run that is laid down in the lake, or that is there already."""

    lake: Lake
    lake_uri: str
    run_id: str
    recipe: Recipe
    done: RunDocument | None
    """The finished run, when there is nothing left to do."""
    hold: Hold | None = None
    """Of a run that is to be carried out; `carry_out` releases it."""
    plan: RefreshPlan | None = None
    """What it changes, where it was just read; None of a run that is resumed or done."""


def prepare(
    recipe_path: Path, lake_uri: str, run_id: str | None, overrides: Mapping[str, object]
) -> Launch:
    """Read the recipe and the problems, name the run, hold it, and lay it into the lake.

    Raises `RecipeError`, `ProblemsError`, `EngineError`, `LakeError`, `UsageError` when `run_id`
    is taken by another run, `RunHeld` when another process carries this one out, and
    `ContractBroken` where more of the problems is withdrawn than the recipe allows."""
    recipe = load_recipe(recipe_path, overrides)
    lake = open_lake(lake_uri, create=True)
    if run_id is not None:
        refuse_if_held(lake, check_run_id(run_id))
    recipe = pin_releases(recipe, lake)
    folder = recipe_path.resolve().parent
    intake = _take_in(recipe, folder)
    run_id = run_id or intake.identity.run_id(recipe.name)
    known = load_run(lake, run_id)
    if known is not None and known.fingerprint != intake.identity.run:
        raise UsageError(
            f"run {run_id!r} is in this lake already and is another run: its recipe, models or "
            "problems differ; choose another --run-id, or leave it out"
        )
    if known is not None and known.state == "completed":
        return Launch(lake, lake.uri, run_id, recipe, known)
    plan = plan_refresh(lake, recipe, intake, run_id)
    if (most := recipe.contract.max_withdrawn) is not None:
        hold_withdrawn(plan, most)
    return _lay_down(lake, recipe, known or _new(run_id, recipe, intake), str(folder), plan)


def prepare_refresh(recipe: Recipe, folder: Path, lake_uri: str) -> Launch:
    """As `prepare`, for a refresh that nobody watches: what is the newest release afterwards is
    what the source has now, also where an earlier release was made of just this.

    Raises as `prepare` does; more than half of the problems withdrawn is too much where the recipe
    gives no bound."""
    lake = open_lake(lake_uri, create=True)
    recipe = pin_releases(recipe, lake)
    intake = _take_in(recipe, folder)
    run_id, known = _run_of_today(lake, recipe, intake)
    if known is not None and known.state == "completed":
        return Launch(lake, lake.uri, run_id, recipe, known)
    plan = plan_refresh(lake, recipe, intake, run_id)
    most = recipe.contract.max_withdrawn
    hold_withdrawn(plan, MAX_WITHDRAWN if most is None else most)
    return _lay_down(lake, recipe, known or _new(run_id, recipe, intake), str(folder), plan)


def _run_of_today(lake: Lake, recipe: Recipe, intake: Intake) -> tuple[str, RunDocument | None]:
    """The run whose records the newest release holds, or is to hold: its name, and its document
    where it has begun."""
    run_id = intake.identity.run_id(recipe.name)
    known, newest = load_run(lake, run_id), newest_release(lake, recipe.name)
    if newest is None:
        return run_id, known
    latest = load_run(lake, newest.run_id)
    if latest is not None and latest.fingerprint == intake.identity.run:
        return latest.run_id, latest
    if known is None or known.state != "completed" or known.release == newest.label:
        return run_id, known
    # The source is again as it was before the newest release, and its run is over: another one.
    run_id = f"{run_id}-after-{newest.version}"
    return run_id, load_run(lake, run_id)


def plan_of(recipe: Recipe, folder: Path, lake_uri: str) -> RefreshPlan:
    """What a run of this recipe would do; nothing is written, and a lake that is not there is taken
    for an empty one. Raises `ProblemsError`, `EngineError`, `LakeError`."""
    lake: Lake | None = None
    try:
        lake = open_lake(lake_uri)
        recipe = pin_releases(recipe, lake)
    except LakeError:
        if open_store(lake_uri).list():
            raise
        if recipe.deduplicate.against:
            named = ", ".join(recipe.deduplicate.against)
            raise UsageError(
                f"deduplicate.against names {named}, and there is no lake at {lake_uri} yet"
            ) from None
    intake = _take_in(recipe, folder)
    return plan_refresh(lake, recipe, intake, intake.identity.run_id(recipe.name))


def run_id_of(recipe_path: Path, lake_uri: str, overrides: Mapping[str, object]) -> str:
    """What a run of this recipe would be named. Raises as `prepare` does."""
    recipe = load_recipe(recipe_path, overrides)
    if recipe.deduplicate.against:
        recipe = pin_releases(recipe, open_lake(lake_uri))
    intake = _take_in(recipe, recipe_path.resolve().parent)
    return intake.identity.run_id(recipe.name)


def _take_in(recipe: Recipe, folder: Path) -> Intake:
    return asyncio.run(showing_starts(take_in(recipe, folder, open_ensemble(recipe, folder))))


def prepare_resume(run_id: str, lake_uri: str) -> Launch:
    """Lay an interrupted or failed run down again, from what the lake remembers of it.

    Raises `UsageError` when there is no such run, `RunHeld` when another process carries it out,
    `LakeError`."""
    lake = open_lake(lake_uri)
    known = require_run(lake, run_id)
    return _lay_down(lake, load_recipe_of(lake, run_id)[0], known)


def _lay_down(
    lake: Lake,
    recipe: Recipe,
    document: RunDocument,
    folder: str | None = None,
    plan: RefreshPlan | None = None,
) -> Launch:
    """Hold the run, and note that it begins; with `folder` its recipe is kept too, with `plan` its
    page for the dashboard."""
    run_id = document.run_id
    if document.state == "completed":
        return Launch(lake, lake.uri, run_id, recipe, document)
    with ExitStack() as unless_laid_down:
        hold = hold_run(lake, run_id)
        unless_laid_down.callback(hold.close)
        document = load_run(lake, run_id) or document  # as whoever held it before has left it
        if document.state == "completed":
            return Launch(lake, lake.uri, run_id, recipe, document)
        if folder is not None:
            save_recipe(lake, run_id, recipe, folder)
        save_run(lake, begun(document))
        if plan is not None:
            keep_page(lake, run_id, page(plan))
        unless_laid_down.pop_all()
    return Launch(lake, lake.uri, run_id, recipe, None, hold, plan)


def _new(run_id: str, recipe: Recipe, intake: Intake) -> RunDocument:
    return RunDocument(
        run_id=run_id,
        recipe=recipe.name,
        fingerprint=intake.identity.run,
        search=intake.identity.search,
        created_at=now(),
        shards=recipe.run.shards,
        problems=intake.rows,
    )


def carry_out(launch: Launch) -> dict[str, Any]:
    """Run the flow and return the run's summary; the run is held no longer then. Raises what the
    flow raises, and `RunLost` when another process has taken the run over meanwhile."""
    assert launch.hold is not None
    with closing(launch.hold), at_work(launch.lake, launch.run_id):
        return in_its_own_thread(lambda: _run_flow(launch))


def _run_flow(launch: Launch) -> dict[str, Any]:
    from flows.prefect_server import prefect_server
    from flows.refresh import refresh
    from flows.runners import require_runner

    require_runner(launch.recipe)
    start_servers(launch)
    BOARD.enter("starting Prefect")
    with prefect_server():
        try:
            result = refresh(launch.lake_uri, launch.run_id, return_state=True).result()
        except httpx.TransportError as error:
            result = _without_prefect(launch, error)
    assert isinstance(result, dict)
    return result


def _without_prefect(launch: Launch, error: httpx.TransportError) -> dict[str, Any]:
    """What the run came to, when its Prefect server has gone. The lake is what counts."""
    from tasks.report import stored_summary

    if require_run(launch.lake, launch.run_id).state == "completed":
        DASHBOARD_LOG.warning("the Prefect server has gone and does not know that this run is done")
        return stored_summary(launch.lake, launch.run_id)
    raise CordError(
        f"the Prefect server does not answer ({type(error).__name__}: {error}); start it again, or "
        "unset PREFECT_API_URL: cord then starts one of its own"
    ) from None


def start_servers(launch: Launch) -> None:
    """Start the servers that cord serves itself, where anything is left to decode."""
    recipe, folder = load_recipe_of(launch.lake, launch.run_id)
    if not any_managed(recipe) or _is_decoded(launch):
        return
    asyncio.run(showing_starts(open_ensemble(recipe, Path(folder)).start()))


def _is_decoded(launch: Launch) -> bool:
    is_planned = launch.lake.tables.committed("problems", [f"{launch.run_id}/plan"])
    states = shard_states(launch.lake, launch.run_id) if is_planned else []
    return bool(is_planned) and all(state.decoded for state in states)
