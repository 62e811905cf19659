"""A refresh that a schedule begins, on whichever machine a worker takes it up.

It reads the source anew; what the lake has of it is not decoded again. Where nothing is new there
is no run and no release, and the flow run says so.
"""

# No deferred annotations here: Prefect makes the dashboard's form of the flow's own.
from collections.abc import Set
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import httpx
from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.states import Completed
from pydantic import Field

from cord.changes.refresh_plan import RefreshPlan
from cord.changes.words import headline, invalidated, told_changes
from cord.errors import ContractBroken, UsageError
from cord.lake import open_lake
from cord.lake.runs.run_tables import planned_shards
from cord.lake.schedules import require_schedule
from cord.recipe import Recipe
from cord.recipe_file import load_recipe
from flows.at_work import in_its_own_thread, once_free
from flows.heartbeats import beating
from flows.launch import Launch, prepare_refresh
from flows.servers import servers_end
from flows.serving import carry_out_here, told_release
from flows.tagging import TAG
from tasks.events import contract_failed
from tasks.report import stored_summary

NOTHING_NEW = "Nothing new"
"""The name of the state of a refresh that found nothing to do."""
NOTHING_NEW_TAG = "nothing-new"


@flow(name="refresh", persist_result=False, result_serializer="json", log_prints=False)
def refresh_on_schedule(
    lake: Annotated[str, Field(description="A folder or s3://bucket/prefix.")],
    schedule: Annotated[
        str | None, Field(description="Its name in the lake: `cord schedule` has laid it there.")
    ] = None,
    recipe: Annotated[
        str | None, Field(description="Or a recipe's file where the worker runs.")
    ] = None,
) -> Any:
    """Decode what is new or changed in the source and publish the release that it makes.

    Retry goes on with what is missing. Cancel stops after the rounds in flight, or after 30
    seconds, when Prefect ends the process."""
    if (schedule is None) == (recipe is None):
        raise UsageError("give schedule, a name in the lake, or recipe, a file: one of the two")

    def carry_out() -> State[dict[str, Any]]:
        scheduled = _scheduled(lake, schedule, recipe)
        return _refresh(once_free(lambda: _prepared(*scheduled, lake)))

    with beating(), servers_end(get_run_logger().warning):
        return in_its_own_thread(carry_out)


def _scheduled(lake: str, schedule: str | None, recipe: str | None) -> tuple[Recipe, Path]:
    if schedule is not None:
        found = require_schedule(open_lake(lake), schedule)
        return found.recipe, Path(found.folder)
    return load_recipe(str(recipe)), Path(str(recipe)).resolve().parent


def _prepared(recipe: Recipe, folder: Path, lake: str) -> Launch:
    try:
        return prepare_refresh(recipe, folder, lake)
    except ContractBroken as error:
        run_id = str(error.details.get("run_id", recipe.name))
        contract_failed(run_id, recipe.name, ["max_withdrawn"])
        raise


def _refresh(launch: Launch) -> State[dict[str, Any]]:
    if launch.done is not None:
        said = _nothing_new(launch)
        get_run_logger().info(said)
        name = launch.recipe.name
        _name_this_run(f"{name}: nothing new", {TAG, name, NOTHING_NEW_TAG})
        return Completed(
            name=NOTHING_NEW, message=said, data=stored_summary(launch.lake, launch.run_id)
        )
    if launch.plan is not None:
        for line in (headline(launch.plan), *invalidated(launch.plan)):
            get_run_logger().info(line)
    summary = carry_out_here(launch)
    return Completed(message=_made(launch.plan, summary), data=summary)


def _nothing_new(launch: Launch) -> str:
    assert launch.done is not None
    problems = sum(planned_shards(launch.lake, launch.run_id).values())
    release = launch.done.release
    stand = f"as in {release}" if release else "as they were, and none of them made a record"
    return f"nothing new: {problems:,} problems are {stand}"


def _made(plan: RefreshPlan | None, summary: dict[str, Any]) -> str:
    """`demo@4: 63 records; 2 new, 0 changed, 61 unchanged, 1 withdrawn problems`."""
    said = told_release(summary)
    if plan is not None and plan.base is not None:
        said += f"; {told_changes(plan)} problems"
        if summary.get("release") == plan.base.release:
            said += "; the records are as they were, so that there is no new release"
    return said


def _name_this_run(name: str, tags: Set[str]) -> None:
    """Never raises for the server's sake: what there is to know is in the state."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    every = sorted({*context.flow_run.tags, *tags})
    with suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, name=name, tags=every)
