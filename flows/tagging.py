"""By what a run is found on the dashboard: its tags."""

from __future__ import annotations

from contextlib import suppress

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

from cord.recipe import Recipe

TAG = "cord"
"""Of every run, and of the deployments that begin some."""


def tag_this_run(recipe: Recipe) -> None:
    """Give the flow run at hand, besides the tags that it has, `cord`, its data set and its seed.

    The flow run alone: a task run that had tags would ask the server for places before it began.
    Never raises for the server's sake."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    tags = {*context.flow_run.tags, TAG, recipe.name, f"seed {recipe.run.seed}"}
    with suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, tags=sorted(tags))
