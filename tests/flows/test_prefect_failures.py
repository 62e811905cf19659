"""Prefect's own failures under a run in a terminal: its server is killed, its run is killed."""

from __future__ import annotations

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

from flows import heartbeats

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("failing")]  # who shares `server`
EVERY_S = 1.5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectProcess]:
    process = PrefectProcess(
        tmp_path_factory.mktemp("failing"), settings={"CORD_HEARTBEAT_S": str(EVERY_S)}
    )
    process.start()
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture
def factory(tmp_path: Path, server: PrefectProcess) -> Factory:
    lake = str(tmp_path / "lake")
    made = Factory(tmp_path, {**server.environment, "CORD_LAKE": lake}, lake)
    made.write_recipe(run={**STARTER["run"], "shards": 3})
    made.write_problems(24)
    return made


def begin(factory: Factory, run_id: str) -> subprocess.Popen[str]:
    """Start a run, and wait until rounds of it are in the lake."""
    process = factory.start("run", "recipe.yaml", "--json", "--run-id", run_id)
    deadline = time.monotonic() + 120
    while not [*Path(factory.lake).glob(f"journals/*/{run_id}/*/*")]:
        assert process.poll() is None and time.monotonic() < deadline, "it does not decode"
        time.sleep(0.1)
    return process


def automations(server: PrefectProcess) -> list[dict[str, Any]]:
    return [one for one in server.ask("automations/filter") if one["name"] == heartbeats.AUTOMATION]


def test_a_killed_run_is_seen_as_crashed_and_one_that_is_suspended_revives(
    server: PrefectProcess, factory: Factory
) -> None:
    killed = begin(factory, "killed")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    server.wait_for_state("killed", "CRASHED", timeout_s=30)
    assert len(automations(server)) == 1

    process = begin(factory, "suspended")
    os.killpg(process.pid, signal.SIGSTOP)  # it is as silent as if its server had been away
    server.wait_for_state("suspended", "CRASHED", timeout_s=30)
    os.killpg(process.pid, signal.SIGCONT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert server.state_of("suspended") == "COMPLETED"
    assert len(automations(server)) == 1


def test_a_server_killed_and_started_again_costs_the_run_nothing(
    server: PrefectProcess, factory: Factory
) -> None:
    process = begin(factory, "outlived")
    server.kill()
    time.sleep(2)
    server.start()
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "Traceback" not in err and "EventsWorker" not in err
    assert server.state_of("outlived") == "COMPLETED"
    assert factory.cord("verify", "small@1").code == 0


def test_the_server_of_its_own_is_started_again_when_it_is_killed(factory: Factory) -> None:
    del factory.environment["PREFECT_API_URL"]
    process = begin(factory, "alone")
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(process.pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = [line for line in listed.stdout.splitlines() if "flows.prefect_server" in line]
    os.kill(int(line.split()[0]), signal.SIGKILL)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
