"""`cord serve`: runs that the dashboard starts, retries and cancels; what dies is resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from factory import STARTER, Factory
from prefect_process import PrefectProcess

pytestmark = pytest.mark.slow


class Serving:
    """A user's server, a folder with a recipe, and `cord serve` on it."""

    def __init__(self, server: PrefectProcess, factory: Factory) -> None:
        self.server, self.factory = server, factory
        self.process = factory.start("serve")
        self.deployment = self._deployment()

    def serve_again(self) -> None:
        self.process = self.factory.start("serve")

    def run(self, **parameters: Any) -> str:
        """What the button Run does; the flow run's id."""
        path = f"deployments/{self.deployment['id']}/create_flow_run"
        return str(self.server.ask(path, parameters=parameters)["id"])

    def retry(self, id: str) -> None:
        """What the button Retry does (read in the dashboard's own code)."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        assert self._set(id, state) == "ACCEPT"

    def cancel(self, id: str) -> None:
        """What the button Cancel does."""
        assert self._set(id, {"type": "CANCELLING", "name": "Cancelling"}) == "ACCEPT"

    def flow_run(self, id: str) -> dict[str, Any]:
        return next(run for run in self.server.flow_runs() if run["id"] == id)

    def until(self, id: str, state: str, timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while (run := self.flow_run(id))["state_type"] != state:
            assert time.monotonic() < deadline, (run["state"], state)
            time.sleep(0.2)

    def until_decoding(self, id: str) -> None:
        """Until rounds of the run are in the lake."""
        deadline = time.monotonic() + 120
        while not [*Path(self.factory.lake).glob(f"journals/*/{self.flow_run(id)['name']}/*/*")]:
            assert time.monotonic() < deadline, self.flow_run(id)["state"]
            time.sleep(0.1)

    def process_of_run(self) -> int:
        """The process that Prefect's runner has started for a run."""
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=True,
        )
        (line,) = [line for line in listed.stdout.splitlines() if "spawn_main" in line]
        return int(line.split()[0])

    def document(self, id: str) -> dict[str, Any]:
        """What the lake says of the run."""
        path = Path(self.factory.lake) / "runs" / self.flow_run(id)["name"] / "run.json"
        return dict(json.loads(path.read_text()))

    def _set(self, id: str, state: dict[str, Any]) -> str:
        answer = self.server.ask(f"flow_runs/{id}/set_state", state=state, force=True)
        return str(answer["status"])

    def _deployment(self) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        while not (found := self.server.ask("deployments/filter")):
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        return dict(found[0])


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    home = tmp_path_factory.mktemp("served")
    settings = {"CORD_HEARTBEAT_S": "1.5", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    server = PrefectProcess(home, settings=settings)
    server.start()
    lake = str(home / "lake")
    factory = Factory(home, {**server.environment, "CORD_LAKE": lake}, lake)
    factory.write_recipe(run={**STARTER["run"], "shards": 3})
    factory.write_problems(40)
    made = Serving(server, factory)
    try:
        yield made
    finally:
        for process in (made.process,):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        server.kill()


def test_a_killed_run_is_crashed_at_once_and_retry_does_what_is_missing(serving: Serving) -> None:
    id = serving.run(recipe="recipe.yaml", seed=1)
    waiting = serving.run(recipe="recipe.yaml", seed=2)
    serving.until_decoding(id)
    os.kill(serving.process_of_run(), signal.SIGKILL)
    serving.until(id, "CRASHED", timeout_s=20)
    serving.until(waiting, "COMPLETED")  # the one place of `--limit 1` came back
    serving.retry(id)
    serving.until(id, "COMPLETED")
    assert serving.document(id)["state"] == "completed"
    assert serving.flow_run(id)["run_count"] == 2, "the same flow run"


def test_a_cancelled_run_is_interrupted_in_the_lake_and_can_be_retried(serving: Serving) -> None:
    id = serving.run(recipe="recipe.yaml", seed=3)
    serving.until_decoding(id)
    serving.cancel(id)
    serving.until(id, "CANCELLED")
    assert serving.document(id)["state"] == "interrupted"
    serving.retry(id)
    serving.until(id, "COMPLETED")


def test_a_machine_that_is_gone_is_noticed_and_another_serve_resumes_its_run(
    serving: Serving,
) -> None:
    id = serving.run(recipe="recipe.yaml", seed=4)
    serving.until_decoding(id)
    os.killpg(serving.process.pid, signal.SIGKILL)
    serving.process.communicate()
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
