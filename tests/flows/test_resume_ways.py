"""However a killed run is gone on with, its release is the same bytes as if nothing had happened.

One run is killed in mid-decoding; each way goes on from a copy of what it left in the lake. Prefect
knows nothing of the run where the dashboard is not what it is gone on from.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest
from factory import BIN, Factory
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed

from cord.lake import open_lake
from cord.lake.releases import list_releases

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
RUN = "killed-and-gone-on-with"  # Prefect's server is shared: no other test's run has the name
CALL = f"import sys; from flows.refresh import refresh; refresh(sys.argv[1], '{RUN}')"


def killed_in_mid_decoding(factory: Factory) -> None:
    process = factory.start("run", "recipe.yaml", "--run-id", RUN)
    journals = Path(factory.lake) / "journals"
    deadline = time.monotonic() + 120
    while len(list(journals.glob("*/*/*/*.jsonl"))) < 6:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    assert not list_releases(open_lake(factory.lake))


def flow_run_of(factory: Factory) -> UUID:
    """The killed run on the dashboard, marked as crashed, as it is after two minutes."""
    named = FlowRunFilter(name=FlowRunFilterName(any_=[RUN]))
    url = {PREFECT_API_URL: factory.environment["PREFECT_API_URL"]}
    with temporary_settings(url), get_client(sync_client=True) as client:
        (found,) = client.read_flow_runs(flow_run_filter=named)
        client.set_flow_run_state(found.id, Crashed(), force=True)
        return found.id


def release_of(lake: Path) -> tuple[str, list[str]]:
    """What names the only release of a lake: its content's hash, its files' sha256."""
    (release,) = list_releases(open_lake(str(lake)))
    return release.content_hash, sorted(file.sha256 for file in release.files)


def test_every_way_to_go_on_with_a_killed_run_ends_in_the_same_bytes(factory: Factory) -> None:
    factory.write_problems(16)
    factory.write_recipe(run={"seed": 7, "shards": 2, "workers": 2, "in_flight": 4, "retries": 1})
    killed_in_mid_decoding(factory)
    flow_run = flow_run_of(factory)
    lakes = {
        name: factory.folder / name
        for name in ("undisturbed", "resume", "same-command", "same-call")
    }
    for name, lake in lakes.items():
        if name != "undisturbed":
            shutil.copytree(factory.lake, lake)

    def start(name: str, command: list[str], fresh: bool) -> subprocess.Popen[str]:
        environment = {**factory.environment, "CORD_LAKE": str(lakes.get(name, factory.lake))}
        if fresh:  # Prefect's database is empty, and a server of its own keeps it
            environment["PREFECT_HOME"] = str(factory.folder / f"prefect-{name}")
            del environment["PREFECT_API_URL"]
        return subprocess.Popen(
            command, cwd=factory.folder, env=environment, stderr=subprocess.PIPE, text=True
        )

    again = [str(BIN / "cord"), "run", "recipe.yaml", "--run-id", RUN]
    entrypoint = f"{REPOSITORY / 'flows/refresh.py'}:refresh"
    retry = [str(BIN / "prefect"), "flow-run", "retry", str(flow_run), "--entrypoint", entrypoint]
    ways = {
        "undisturbed": start("undisturbed", again, fresh=False),
        "resume": start("resume", [str(BIN / "cord"), "resume", RUN], fresh=True),
        "same-command": start("same-command", again, fresh=True),
        "same-call": start(
            "same-call", [sys.executable, "-c", CALL, str(lakes["same-call"])], fresh=False
        ),
        "retry": start("retry", retry, fresh=False),
    }
    said = {name: process.communicate(timeout=500)[1] for name, process in ways.items()}
    assert {process.returncode for process in ways.values()} == {0}, said
    expected = release_of(lakes["undisturbed"])
    made = {name: release_of(lakes.get(name, Path(factory.lake))) for name in ways}
    assert made == dict.fromkeys(ways, expected)
