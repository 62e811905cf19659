"""A process work pool with two workers: two runs at once, and a lost worker costs a retry."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import prefect_api
import pytest
from factory import BIN, STARTER, Factory

pytestmark = pytest.mark.slow
POOL = "p-two-workers"


def ask(factory: Factory, method: str, path: str, **body: Any) -> Any:
    """What the session's Prefect server answers."""
    url = factory.environment["PREFECT_API_URL"]
    return prefect_api.ask(url, method, path, json=body or None)


@contextmanager
def worker(factory: Factory, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that carries out one run at a time, as on a host of its own."""
    with (factory.folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [BIN / "prefect", "worker", "start", "--pool", POOL, "--name", name, "--limit", "1"],
            cwd=factory.folder,
            env={**factory.environment, "PREFECT_WORKER_QUERY_SECONDS": "1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(factory: Factory, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 400
    while not holds():
        logs = [log.read_text()[-1500:] for log in factory.folder.glob("*.log")]
        assert time.monotonic() < deadline, "\n".join(logs)
        time.sleep(0.3)


def holders(factory: Factory) -> dict[str, int]:
    """The processes that carry out runs which have decided rounds, by run."""
    found = {}
    for run in {path.parent.name for path in Path(factory.lake).glob("journals/*/*/*")}:
        status = factory.cord("status", run, "--json").json
        if status["state"] == "running" and status["lease"] is not None:
            found[run] = int(status["lease"]["holder"]["pid"])
    return found


def parent_of(pid: int) -> int:
    told = subprocess.run(["ps", "-o", "ppid=", "-p", f"{pid}"], capture_output=True, text=True)
    return int(told.stdout)


def test_two_workers_take_two_runs_and_a_lost_one_costs_a_retry(factory: Factory) -> None:
    factory.write_problems(24)
    ids = {}
    for name in ("north", "south"):
        factory.write_recipe(name=name, run={**STARTER["run"], "in_flight": 1, "shards": 4})
        made = factory.cord("schedule", "recipe.yaml", "--cron", "0 3 * * *", "--pool", POOL)
        assert made.code == 0, made.err
        deployment = ask(factory, "GET", f"deployments/name/refresh/{name}")["id"]
        path = f"deployments/{deployment}/create_flow_run"
        ids[name] = ask(factory, "POST", path, state={"type": "SCHEDULED"})["id"]

    def state(name: str) -> str:
        return str(ask(factory, "GET", f"flow_runs/{ids[name]}")["state_type"])

    with ExitStack() as stack:
        workers = [stack.enter_context(worker(factory, name)) for name in ("one", "two")]
        until(factory, lambda: len(holders(factory)) == 2)
        flows = holders(factory)
        pids = {parent_of(pid) for pid in flows.values()}
        assert pids == {one.pid for one in workers}, "each worker carries out one of them"

        lost = next(run for run, pid in flows.items() if parent_of(pid) == workers[0].pid)
        os.killpg(workers[0].pid, signal.SIGKILL)
        os.kill(flows[lost], signal.SIGKILL)
        name = lost.split("-")[0]
        # What the automation does when heartbeats stay away, and then the button Retry.
        for told in (
            {"type": "CRASHED", "message": "no heartbeat"},
            {"type": "SCHEDULED", "name": "AwaitingRetry"},
        ):
            path = f"flow_runs/{ids[name]}/set_state"
            answer = ask(factory, "POST", path, state=told, force=False)
            assert answer["status"] == "ACCEPT", answer
        until(factory, lambda: {state(name) for name in ids} == {"COMPLETED"})
    assert {row["name"] for row in factory.ask("select name from releases")} == {"north", "south"}
    rows = factory.ask(
        "select run_id, count(*) n, count(distinct (problem_id, rank)) d, "
        "count(distinct problem_id) p from trajectories group by 1"
    )
    assert [(row["n"], row["p"]) for row in rows] == [(row["d"], 24) for row in rows]
    assert len(rows) == 2
    assert factory.cord("verify", "--lake").code == 0
