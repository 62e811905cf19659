"""What a run tells the Prefect server besides its state: events, for automations to act upon.

    cord.release.published   a release is new        resource cord.run.RUN
    cord.contract.failed     nothing was published   resource cord.run.RUN
    cord.shard.failed        a shard failed for good resource cord.run.RUN

Each is about the run and, as a related resource, `cord.dataset.NAME`; Prefect adds the flow run. A
payload holds names and numbers, never a text of a model's or of a user's. An event is not the work:
where none can be sent, the run goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from prefect.events import emit_event

RELEASE_PUBLISHED = "cord.release.published"
CONTRACT_FAILED = "cord.contract.failed"
SHARD_FAILED = "cord.shard.failed"
SHARDS_TOLD = 20
"""Failed shards of one run that have an event each."""


def release_published(run_id: str, data_set: str, version: int, records: int) -> None:
    """A new release can be read."""
    payload = {"release": f"{data_set}@{version}", "version": version, "records": records}
    _tell(RELEASE_PUBLISHED, run_id, data_set, payload)


def contract_failed(run_id: str, data_set: str, expectations: list[str]) -> None:
    """A run's contract did not hold: the names of what was not met."""
    _tell(CONTRACT_FAILED, run_id, data_set, {"expectations": expectations})


def shards_failed(run_id: str, data_set: str, failed: Mapping[int, BaseException]) -> None:
    """These shards failed at their last try."""
    for shard in sorted(failed)[:SHARDS_TOLD]:
        payload = {"shard": shard, "error": type(failed[shard]).__name__, "failed": len(failed)}
        _tell(SHARD_FAILED, run_id, data_set, payload)


def _tell(event: str, run_id: str, data_set: str, payload: dict[str, Any]) -> None:
    with suppress(Exception):  # whatever it is: a run is worth more than what is told of it
        emit_event(
            event=event,
            resource={
                "prefect.resource.id": f"cord.run.{run_id}",
                "prefect.resource.name": run_id,
                "cord.dataset": data_set,
            },
            related=[
                {
                    "prefect.resource.id": f"cord.dataset.{data_set}",
                    "prefect.resource.role": "dataset",
                    "prefect.resource.name": data_set,
                }
            ],
            payload={"run": run_id, "dataset": data_set, **payload},
        )
