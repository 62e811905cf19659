"""What a person does at Prefect's dashboard: asks for a refresh of a recipe, or retries it.

    python -m benchmarks.chaos.asking LAKE RECIPE NOTE

Ends when the flow run does, with 0 when it is completed. NOTE is a file that holds its id: where
the last one has ended in vain, that one is retried.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Scheduled

import flows  # noqa: F401 (Prefect's settings come first)
from benchmarks.chaos.dashboard import DEPLOYMENT

PATIENCE_S = 60.0
"""For the server to answer, and the deployment to appear."""
Pressed = TypeVar("Pressed")


def main(lake: str, recipe: str, note: Path) -> int:
    """The exit code."""
    with get_client(sync_client=True) as client:
        run = _retried(client, note) or _asked_for(client, lake, recipe)
        note.write_text(str(run))
        while not (state := _state_of(client, run)).is_final():
            time.sleep(0.2)
    print(f"cord: the flow run is {state.name}: {state.message}", file=sys.stderr)
    return 0 if state.is_completed() else 1


def _retried(client: SyncPrefectClient, note: Path) -> UUID | None:
    if not note.exists():
        return None
    run = UUID(note.read_text())
    if _state_of(client, run).is_final():
        again: State = Scheduled(message="asked for again")
        _patiently(lambda: client.set_flow_run_state(run, again, force=True))
    return run


def _asked_for(client: SyncPrefectClient, lake: str, recipe: str) -> UUID:
    deployment = _patiently(lambda: client.read_deployment_by_name(DEPLOYMENT))
    wanted = {"lake": lake, "recipe": recipe}
    asked_once = f"chaos {os.getpid()} {time.time()}"  # a lost answer asks for no second run
    return _patiently(
        lambda: client.create_flow_run_from_deployment(
            deployment.id, parameters=wanted, idempotency_key=asked_once
        )
    ).id


def _state_of(client: SyncPrefectClient, run: UUID) -> State:
    state = _patiently(lambda: client.read_flow_run(run)).state
    assert state is not None
    return state


def _patiently(press: Callable[[], Pressed]) -> Pressed:
    """What a person does while the server is away, or has no deployment yet: tries again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return press()
        except (ObjectNotFound, httpx.TransportError, PrefectHTTPStatusError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
