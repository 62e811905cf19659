"""`cord serve` as a process of its own, and the dashboard's buttons pressed on its runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from factory import Factory
from prefect_process import PrefectProcess


class Serving:
    """A user's server, a folder with a recipe, and `cord serve` on it."""

    def __init__(self, server: PrefectProcess, factory: Factory, *options: str) -> None:
        self.server, self.factory = server, factory
        self.process = factory.start("serve", *options)
        self.deployment = self._deployment()

    def serve_again(self) -> None:
        self.process = self.factory.start("serve")

    def kill_alone(self) -> None:
        """kill -9 of it; the runs that it carries out live on."""
        self.process.kill()
        self.process.wait()

    def kill(self) -> None:
        """kill -9 of it and of every run that it carries out."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()

    def run(self, **parameters: Any) -> str:
        """What the button Run does; the flow run's id."""
        path = f"deployments/{self.deployment['id']}/create_flow_run"
        return str(self.server.ask(path, parameters=parameters)["id"])

    def run_later(self, **parameters: Any) -> str:
        """A run that is planned for tomorrow, and so begun by nobody."""
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": tomorrow}}
        path = f"deployments/{self.deployment['id']}/create_flow_run"
        return str(self.server.ask(path, parameters=parameters, state=state)["id"])

    def retry(self, id: str) -> None:
        """What the button Retry does (read in the dashboard's own code)."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        assert self._set(id, state) == "ACCEPT"

    def cancel(self, id: str) -> None:
        """What the button Cancel does."""
        assert self._set(id, {"type": "CANCELLING", "name": "Cancelling"}) == "ACCEPT"

    def call_crashed(self, id: str) -> None:
        """What an automation does that takes a run for dead."""
        assert self._set(id, {"type": "CRASHED", "message": "taken for dead"}) == "ACCEPT"

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
        its_own = {"name": {"any_": ["cord"]}}  # schedules of other tests have theirs
        while not (found := self.server.ask("deployments/filter", deployments=its_own)):
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        return dict(found[0])
