"""`cord distill` as a flow: data ─> student, on Prefect's dashboard."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.at_work import in_its_own_thread
from flows.heartbeats import beating
from tasks.distill import train_student


@flow(
    name="distill",
    flow_run_name="{name}",
    persist_result=False,
    result_serializer="json",
    log_prints=False,
)
def distill(
    name: str, recipe: dict[str, Any], folder: str, lake: str | None, out: str
) -> dict[str, Any]:
    """Train the recipe's student into `out`, or go on with it; returns `training.json`.

    The folder is what counts: Retry, or the same command, goes on from the newest checkpoint."""
    with beating():
        return in_its_own_thread(lambda: train_student(name, recipe, folder, lake, out))
