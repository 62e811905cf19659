"""A Prefect server that a test may kill and start again, as a user's server that fails.

It looks for silent runs every second, so that no test waits for what is a matter of settings.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import prefect_api
from factory import BIN, free_port


@dataclass
class PrefectProcess:
    """A real `prefect server start` on a port and a database of its own."""

    home: Path
    port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def environment(self) -> dict[str, str]:
        """What points a process at it."""
        return {
            **os.environ,
            "PREFECT_HOME": str(self.home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_API_URL": self.url,
            **self.settings,
        }

    def start(self) -> None:
        """Start it and wait for its answer."""
        environment = {
            **self.environment,
            "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{self.home}/server.db",
        }
        del environment["PREFECT_API_URL"]
        with (self.home / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                [
                    BIN / "prefect",
                    "server",
                    "start",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    f"{self.port}",
                ],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 180
        while not self._answers():
            assert self._process.poll() is None, (self.home / "server.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the Prefect server does not start"
            time.sleep(0.2)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def ask(self, path: str, **body: Any) -> Any:
        """What the API answers to a POST."""
        return self.request("POST", path, json=body)

    def request(self, method: str, path: str, **given: Any) -> Any:
        """What the API answers."""
        return prefect_api.ask(self.url, method, path, **given)

    def flow_runs(self) -> list[dict[str, Any]]:
        """All flow runs, the oldest first."""
        found = self.ask("flow_runs/filter", limit=200)
        return sorted(found, key=lambda run: str(run["created"]))

    def state_of(self, run_id: str) -> str:
        """The type of the state of the newest flow run of that name; "" where there is none."""
        named = [run for run in self.flow_runs() if run["name"] == run_id]
        return str(named[-1]["state_type"]) if named else ""

    def wait_for_state(self, run_id: str, wanted: str, timeout_s: float = 60) -> float:
        """Wait until a run is in that state; returns the seconds it took."""
        begun = time.monotonic()
        while (state := self.state_of(run_id)) != wanted:
            assert time.monotonic() - begun < timeout_s, f"{run_id} is {state}, not {wanted}"
            time.sleep(0.2)
        return time.monotonic() - begun

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False
