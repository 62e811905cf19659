"""A place at work: who dies gives it back, and who lives is not replaced by Retry."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from factory import STARTER, Factory
from prefect_process import PrefectProcess
from serve_process import Serving

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slots")]  # who shares `serving`


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    home = tmp_path_factory.mktemp("limited")
    settings = {
        "CORD_HEARTBEAT_S": "1.5",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
    }
    server = PrefectProcess(home, settings=settings)
    server.start()
    lake = str(home / "lake")
    factory = Factory(home, {**server.environment, "CORD_LAKE": lake}, lake)
    factory.write_recipe(run={**STARTER["run"], "shards": 3})
    factory.write_problems(24)
    made = Serving(server, factory, "--limit", "2")
    try:
        yield made
    finally:
        made.kill()
        server.kill()


def limit_to(serving: Serving, runs: int) -> str:
    """Limit the deployment, as a user does on the dashboard; the name of the limit."""
    path = f"deployments/{serving.deployment['id']}"
    serving.server.request("PATCH", path, json={"concurrency_limit": runs})
    return f"deployment:{serving.deployment['id']}"


def taken(serving: Serving, limit: str) -> int:
    """How many of its places are taken, as the dashboard's page of limits shows it."""
    found = serving.server.ask("v2/concurrency_limits/filter")
    return int(next(one["active_slots"] for one in found if one["name"] == limit))


def until_it_waits(serving: Serving, id: str) -> None:
    """Until a run was told that no place is free (its history says so, whatever it is by now)."""
    deadline = time.monotonic() + 60
    while True:
        found = serving.server.request("GET", "flow_run_states/", params={"flow_run_id": id})
        if "AwaitingConcurrencySlot" in {state["name"] for state in found}:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


@pytest.mark.long
def test_the_place_of_a_killed_run_comes_back_and_retry_takes_it_over(serving: Serving) -> None:
    limit = limit_to(serving, 1)
    id = serving.run(recipe="recipe.yaml", seed=1)
    serving.until_decoding(id)
    waiting = serving.run(recipe="recipe.yaml", seed=2)
    until_it_waits(serving, waiting)
    assert taken(serving, limit) == 1
    os.kill(serving.process_of_run(), signal.SIGKILL)
    serving.until(id, "CRASHED", timeout_s=20)
    serving.until(waiting, "COMPLETED")
    serving.retry(id)
    serving.until(id, "COMPLETED")
    assert serving.document(id)["state"] == "completed"
    assert taken(serving, limit) == 0


def test_retry_of_a_run_that_lives_is_refused_and_it_goes_on(serving: Serving) -> None:
    id = serving.run(recipe="recipe.yaml", seed=3)
    serving.until_decoding(id)
    living = serving.process_of_run()
    os.kill(living, signal.SIGSTOP)
    try:
        serving.kill_alone()
        serving.serve_again()
        serving.call_crashed(id)  # wrongly: it is only silent
        serving.retry(id)
        serving.until(id, "FAILED")
        message = serving.flow_run(id)["state"]["message"]
        assert f"is being carried out by process {living} on" in message
    finally:
        os.kill(living, signal.SIGCONT)
    serving.until(id, "COMPLETED")
    assert serving.document(id)["state"] == "completed"
