"""A run that goes batch by batch, on a real Prefect server: what a run of ten thousand small shards
does, with eight."""

from __future__ import annotations

import re
from contextlib import closing

import prefect_api
import pytest
from factory import Factory
from prefect.settings import PREFECT_API_URL, temporary_settings

from cord.errors import CordError
from cord.lake.runs.progress import shard_states
from cord.lake.runs.staging import staged_key
from flows import refresh as main_job
from flows.launch import prepare, prepare_resume

pytestmark = pytest.mark.slow
RUN = "in-batches"


def test_batches_decode_verify_and_leave_a_broken_shard_to_a_resume(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.shards.shards_together", lambda *_: 3)
    factory.write_recipe(run={"seed": 7, "shards": 8, "workers": 2, "retries": 0})
    url = factory.environment["PREFECT_API_URL"]
    with temporary_settings({PREFECT_API_URL: url}):
        launch = prepare(factory.recipe_path, factory.lake, RUN, {})
        assert launch.hold is not None
        launch.lake.store.write(staged_key(RUN, 4), b"{}")
        with closing(launch.hold), pytest.raises(CordError, match=r"1 of 8 shards failed \(4\)"):
            main_job.refresh(factory.lake, RUN)
        lacking = [one.index for one in shard_states(launch.lake, RUN) if not one.verified]
        assert lacking == [4], "the others of its batch went on"
        assert re.search(r"\| 4 \| \d+ \| \*\*failed\*\* \|", page_of(url)), "its last word"
        assert task_names(url) >= {f"shards {RUN} {n}" for n in ("0 to 2", "3 to 5", "6 to 7")}

        launch.lake.store.delete([staged_key(RUN, 4)])
        again = prepare_resume(RUN, factory.lake)
        assert again.hold is not None
        with closing(again.hold):
            summary = main_job.refresh(factory.lake, RUN)
    assert summary["release"] == "small@1"
    assert f"shards {RUN} 4 to 4" in task_names(url), "only that shard ran"


def page_of(url: str) -> str:
    """What the run's live page says."""
    asked = {"artifacts": {"key": {"any_": [f"{RUN}-live"]}}, "sort": "ID_DESC"}
    found = prefect_api.ask(url, "POST", "artifacts/filter", json=asked)
    return str(found[0]["data"])


def task_names(url: str) -> set[str]:
    """Of all task runs of shards there are."""
    asked = {"task_runs": {"name": {"like_": f"shards {RUN}"}}}
    return {run["name"] for run in prefect_api.ask(url, "POST", "task_runs/filter", json=asked)}
