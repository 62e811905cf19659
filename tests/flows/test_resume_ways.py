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
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from factory import BIN, Factory, Ran
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed

from cord.lake import open_lake
from cord.lake.releases.release import list_releases
from cord.lake.runs.run import list_runs
from cord.lake.tables.query import query

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
RUN = "killed-and-gone-on-with"  # Prefect's server is shared: no other test's run has the name
TWICE = "select problem_id, rank from trajectories group by all having count(*) > 1"
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
    lake = open_lake(factory.lake)
    assert [run.state for run in list_runs(lake)] == ["interrupted"]
    assert not list_releases(lake)


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


@pytest.mark.long
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

    def go_on(name: str, *arguments: str, fresh: bool) -> Ran:
        environment = {**factory.environment, "CORD_LAKE": str(lakes[name])}
        if fresh:  # Prefect's database is empty, and a server of its own keeps it
            environment["PREFECT_HOME"] = str(factory.folder / f"prefect-{name}")
            del environment["PREFECT_API_URL"]
        return replace(factory, environment=environment).cord(*arguments)

    def call(*command: str) -> Ran:
        ended = subprocess.run(
            command,
            cwd=factory.folder,
            env=factory.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    again = ("run", "recipe.yaml", "--run-id", RUN)
    entrypoint = f"{REPOSITORY / 'flows/refresh.py'}:refresh"
    retry = (str(BIN / "prefect"), "flow-run", "retry", str(flow_run), "--entrypoint", entrypoint)
    ways = {
        "undisturbed": go_on("undisturbed", *again, fresh=False),
        "resume": go_on("resume", "resume", RUN, fresh=True),
        "same-command": go_on("same-command", *again, fresh=True),
        "same-call": call(sys.executable, "-c", CALL, str(lakes["same-call"])),
        "retry": call(*retry),
    }
    assert {ran.code for ran in ways.values()} == {0}, ways
    lakes["retry"] = Path(factory.lake)
    expected = release_of(lakes["undisturbed"])
    assert {name: release_of(lakes[name]) for name in ways} == dict.fromkeys(ways, expected)
    for name in ways:
        assert query(open_lake(str(lakes[name])), TWICE).num_rows == 0
