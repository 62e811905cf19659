"""`cord serve`: runs that the dashboard starts, retries and cancels; what dies is resumed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from factory import STARTER, Factory
from prefect_process import PrefectProcess
from serve_process import Serving

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("serving")]  # who shares `serving`


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    home = tmp_path_factory.mktemp("served")
    settings = {"CORD_HEARTBEAT_S": "1.5", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    server = PrefectProcess(home, settings=settings)
    server.start()
    lake = str(home / "lake")
    factory = Factory(home, {**server.environment, "CORD_LAKE": lake}, lake)
    factory.write_recipe(run={**STARTER["run"], "shards": 3})
    factory.write_problems(24)
    made = Serving(server, factory)
    try:
        yield made
    finally:
        made.kill()
        server.kill()


def test_a_killed_run_is_crashed_at_once_a_cancelled_one_interrupted_and_both_can_be_retried(
    serving: Serving,
) -> None:
    id = serving.run(recipe="recipe.yaml", seed=1)
    waiting = serving.run(recipe="recipe.yaml", seed=2)
    serving.until_decoding(id)
    os.kill(serving.process_of_run(), signal.SIGKILL)
    serving.until(id, "CRASHED", timeout_s=20)
    serving.until_decoding(waiting)  # the one place of `--limit 1` came back
    serving.cancel(waiting)
    serving.until(waiting, "CANCELLED")
    assert serving.document(waiting)["state"] == "interrupted"
    for stopped in (id, waiting):
        serving.retry(stopped)
    for stopped in (id, waiting):
        serving.until(stopped, "COMPLETED")
        assert serving.document(stopped)["state"] == "completed"
        assert serving.flow_run(stopped)["run_count"] == 2, "the same flow run"


def test_a_machine_that_is_gone_is_noticed_and_another_serve_resumes_its_run(
    serving: Serving,
) -> None:
    id = serving.run(recipe="recipe.yaml", seed=4)
    serving.until_decoding(id)
    serving.kill()
    serving.until(id, "CRASHED", timeout_s=30)
    assert "no heartbeat" in serving.flow_run(id)["state"]["message"]
    serving.serve_again()
    serving.retry(id)
    serving.until(id, "COMPLETED")
    name = serving.flow_run(id)["name"]
    again = serving.run(run_id=name)  # as for a run that a terminal began
    serving.until(again, "COMPLETED")
    assert serving.flow_run(again)["name"] == name


def test_ctrl_c_stops_gently_and_a_request_without_a_run_says_what_to_give(
    serving: Serving,
) -> None:
    wrong = serving.run()
    serving.until(wrong, "FAILED")
    assert "give run_id" in serving.flow_run(wrong)["state"]["message"]
    id = serving.run(recipe="recipe.yaml", seed=5)
    serving.until_decoding(id)
    os.killpg(serving.process.pid, signal.SIGINT)
    _, err = serving.process.communicate(timeout=60)
    assert serving.process.returncode == 0 and "Traceback" not in err
    serving.until(id, "CRASHED")
    assert serving.document(id)["state"] == "interrupted"


def test_without_a_server_it_says_what_to_start(factory: Factory) -> None:
    factory.environment["PREFECT_API_URL"] = "http://127.0.0.1:9/api"
    ran = factory.cord("serve")
    assert ran.code == 2 and "start it first" in ran.err
