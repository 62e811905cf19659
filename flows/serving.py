"""Runs asked for on Prefect's dashboard, carried out on this machine.

`cord serve` keeps the deployment `refresh/cord` on the user's Prefect server. Each run that is
asked for there (Run, Retry) is a process of its own, started by Prefect's runner; what it has to
do, the lake knows.
"""

# No deferred annotations here: Prefect makes the dashboard's form of the flow's own.
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import httpx
from prefect import flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, State
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed
from prefect.types.entrypoint import EntrypointType
from pydantic import Field

from cord.errors import UsageError
from flows.at_work import in_its_own_thread, once_free
from flows.heartbeats import beating
from flows.launch import Launch, prepare, prepare_resume, start_servers
from flows.prefect_server import require_access
from flows.refresh import carry_through
from flows.servers import servers_end
from flows.tagging import TAG
from tasks.report import stored_summary

DEPLOYMENT = "cord"
LOOK_EVERY_S = 5.0


@flow(name="refresh", persist_result=False, result_serializer="json", log_prints=False)
def refresh_on_request(
    lake: Annotated[str, Field(description="A folder or s3://bucket/prefix.")],
    run_id: Annotated[
        str | None, Field(description="Go on with this run of the lake: only what is missing.")
    ] = None,
    recipe: Annotated[
        str | None, Field(description="Or run this recipe, a file where `cord serve` runs.")
    ] = None,
    seed: Annotated[int | None, Field(description="Instead of the recipe's.")] = None,
) -> Any:
    """Begin a run of a recipe, or go on with one; its state says which release it made.

    Retry does the same again, and the lake has what was done before. Cancel stops after the rounds
    in flight, or after 30 seconds, when Prefect ends the process."""
    if (run_id is None) == (recipe is None):
        raise UsageError(
            "give run_id, to go on with a run of the lake, or recipe, to begin one: one of the two"
        )

    def carry_out() -> State[dict[str, Any]]:
        summary = carry_out_here(once_free(take))
        return Completed(message=told_release(summary), data=summary)

    def take() -> Launch:
        if run_id is not None:
            return prepare_resume(run_id, lake)
        overrides = {} if seed is None else {"run.seed": seed}
        return prepare(Path(str(recipe)), lake, None, overrides)

    with beating(), servers_end(get_run_logger().warning):
        return in_its_own_thread(carry_out)


def serve_runs(lake: str, limit: int, say: Callable[[str], None]) -> None:
    """Carry out what is asked for on the dashboard, `limit` runs at once, until Ctrl-C.

    The limit and the schedules that a user gave the deployment stay. A Prefect server that goes
    away is waited for. Raises `UsageError` where there is none."""
    url = users_server("there is no dashboard to serve")
    while True:
        try:
            refresh_on_request.serve(
                name=DEPLOYMENT,
                description="cord: run a recipe, or go on with a run of the lake.",
                parameters={"lake": lake},
                limit=limit,
                tags=[TAG],
                pause_on_shutdown=False,
                print_starting_message=False,
                entrypoint_type=EntrypointType.MODULE_PATH,
                **_set_by_the_user(),
            )
            return
        except Exception:
            if _answers(url):
                raise
            say(f"cord: no Prefect server answers at {url}; waiting for it")
        while not _answers(url):
            time.sleep(LOOK_EVERY_S)
        say("cord: the Prefect server is back")


def users_server(without: str) -> str:
    """The address of the user's Prefect server, which answers. Raises `UsageError`; `without` says
    what it means that there is none."""
    url = str(PREFECT_API_URL.value() or "")
    if not url:
        raise UsageError(
            f"PREFECT_API_URL is not set: {without}; start `prefect server start`, then set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    if not _answers(url):
        raise UsageError(f"no Prefect server answers at {url} (PREFECT_API_URL); start it first")
    require_access(url)
    return url


def _set_by_the_user() -> dict[str, Any]:
    """The deployment's limit and schedules; to serve it without naming them takes them away."""
    try:
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(f"{refresh_on_request.name}/{DEPLOYMENT}")
    except ObjectNotFound:
        return {}
    kept: dict[str, Any] = {
        "schedules": [
            DeploymentScheduleCreate(
                **{
                    name: getattr(one, name)
                    for name in ("schedule", "active", "parameters", "slug")
                }
            )
            for one in found.schedules
        ]
    }
    if found.global_concurrency_limit is not None:
        options = found.concurrency_options
        kept["global_limit"] = ConcurrencyLimitConfig(
            limit=found.global_concurrency_limit.limit,
            **({} if options is None else options.model_dump()),
        )
    return kept


def carry_out_here(launch: Launch) -> dict[str, Any]:
    """Carry a run out within the flow run at hand, which gets its name; returns its summary."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        with get_client(sync_client=True) as client:
            client.set_flow_run_name(context.flow_run.id, launch.run_id)
    if launch.hold is None:  # it is complete
        return stored_summary(launch.lake, launch.run_id)
    with closing(launch.hold):
        start_servers(launch)
        return carry_through(launch.lake_uri, launch.run_id)


def told_release(summary: dict[str, Any]) -> str:
    """`demo@4: 63 records`, for the state of the flow run that made it."""
    release = summary.get("release")
    if not release:
        return "no record to publish"
    return f"{release}: {summary.get('records', 0):,} records"


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=LOOK_EVERY_S).status_code == 200
    except httpx.HTTPError:
        return False
