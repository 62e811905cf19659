"""Schedules as Prefect deployments: `refresh/NAME` on a work pool, one refresh of it at a time.

A deployment names lake and schedule, no more; what is refreshed lies in the lake
(`cord.lake.schedules`). Any `prefect worker start --pool POOL` on a machine with cord carries it
out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import DeploymentApplyError
from prefect.exceptions import ObjectNotFound
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from cord.errors import CordError, UsageError
from cord.lake import Lake
from cord.lake.schedules import Schedule, load_schedule, schedule_names
from flows.cron import read_cron
from flows.scheduled_refresh import refresh_on_schedule
from flows.serving import DEPLOYMENT, users_server

POOL_TYPE = "process"
SLUG = "cord"
_ENVIRONMENT = {
    # A server that is started again is away for a minute or so; six tries last two.
    "PREFECT_CLIENT_MAX_RETRIES": "6",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
}


@dataclass(frozen=True, slots=True)
class Deployed:
    """What stands on the Prefect server."""

    deployment: str
    """`refresh/NAME`."""
    pool: str
    pool_made: bool
    """The work pool was made just now."""


def check_free(lake: Lake, schedule: Schedule) -> None:
    """Raise `UsageError` where this schedule would stand in another one's place: two of one data
    set, whose refreshes could run at once, or one name for two lakes."""
    data_set = schedule.recipe.name
    if schedule.name == DEPLOYMENT:
        raise UsageError(
            f"the deployment refresh/{DEPLOYMENT} is that of `cord serve`; give the schedule "
            "another name with --name"
        )
    for name in schedule_names(lake):
        other = load_schedule(lake, name) if name != schedule.name else None
        if other is not None and other.recipe.name == data_set:
            raise UsageError(
                f"the data set {data_set!r} is refreshed by the schedule {name!r} already, and two "
                f"could run at once; `cord schedule {name} --remove` removes that one, "
                f"--name {name} replaces it"
            )
    with _client() as client:
        found = _read(client, schedule.name)
    where = found.parameters.get("lake") if found is not None else None
    if where is not None and where != lake.uri:
        raise UsageError(
            f"the deployment refresh/{schedule.name} on this Prefect server refreshes the lake "
            f"{where}; choose another name with --name"
        )


def deploy(lake: Lake, schedule: Schedule) -> Deployed:
    """Make the deployment, or bring it up to date, and the work pool where there is none.

    One refresh runs at a time; one that is due meanwhile waits for it, so that nothing that came
    into the source is missed. Raises `UsageError` where no server answers or it refuses."""
    cron = read_cron(schedule.cron, schedule.timezone)
    with _client() as client:
        made = _make_pool(client, schedule.pool)
        deployment: Any = refresh_on_schedule.to_deployment(
            name=schedule.name,
            description=f"cord: {schedule.file} as scheduled on {schedule.scheduled_at:%Y-%m-%d}.",
            parameters={"lake": lake.uri, "schedule": schedule.name},
            schedules=[DeploymentScheduleCreate(schedule=cron, active=True, slug=SLUG)],
            concurrency_limit=ConcurrencyLimitConfig(
                limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE
            ),
            tags=sorted({"cord", schedule.recipe.name, schedule.name}),
            work_pool_name=schedule.pool,
            job_variables={"env": _ENVIRONMENT},
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        deployment.apply()
    return Deployed(f"{refresh_on_schedule.name}/{schedule.name}", schedule.pool, made)


def undeploy(lake: Lake, name: str) -> bool:
    """Delete the deployment of a schedule of this lake; returns whether there was one."""
    with _client() as client:
        found = _read(client, name)
        if found is None or found.parameters.get("lake") != lake.uri:
            return False
        client.delete_deployment(found.id)
        return True


def deployed_states(lake: Lake, names: list[str]) -> dict[str, str]:
    """What the Prefect server says of each schedule: `active`, `paused` or `not there`."""
    states = {}
    with _client() as client:
        for name in names:
            found = _read(client, name)
            if found is None or found.parameters.get("lake") != lake.uri:
                states[name] = "not there"
            else:
                is_on = not found.paused and any(one.active for one in found.schedules)
                states[name] = "active" if is_on else "paused"
    return states


def _make_pool(client: SyncPrefectClient, pool: str) -> bool:
    """Make it where it is not there; one of another type is used as it is."""
    try:
        client.read_work_pool(pool)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(
            WorkPoolCreate(name=pool, type=POOL_TYPE, base_job_template=template)
        )
        return True
    return False


def _read(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(f"{refresh_on_schedule.name}/{name}")
    except ObjectNotFound:
        return None


@contextmanager
def _client() -> Iterator[SyncPrefectClient]:
    """The user's server; what it refuses becomes a sentence."""
    url = users_server("there is no server to keep a schedule")
    try:
        with get_client(sync_client=True) as client:
            yield client
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (401, 403):
            raise UsageError(
                f"the Prefect server at {url} refuses ({error.response.status_code}); set "
                "PREFECT_API_AUTH_STRING to what its PREFECT_SERVER_API_AUTH_STRING is"
            ) from None
        raise CordError(f"the Prefect server at {url} refused: {error}") from None
    except (httpx.HTTPError, DeploymentApplyError) as error:
        raise CordError(f"the Prefect server at {url} did not take the schedule: {error}") from None
