"""`cord schedule` on a real Prefect server, carried out by Prefect's own worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import prefect_api
import pytest
from factory import BIN, Factory

ROOT = Path(__file__).parents[2]
NIGHTLY = ("--cron", "0 3 * * *")


def ask(factory: Factory, method: str, path: str, **body: Any) -> Any:
    """What the session's Prefect server answers."""
    url = factory.environment["PREFECT_API_URL"]
    return prefect_api.ask(url, method, path, json=body or None)


def deployment(factory: Factory, name: str) -> dict[str, Any]:
    return dict(ask(factory, "GET", f"deployments/name/refresh/{name}"))


@contextmanager
def worker(factory: Factory, pool: str) -> Iterator[None]:
    """`prefect worker start`, as a user starts it, from a folder that is nobody's."""
    home = factory.folder / "worker"
    home.mkdir()
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [BIN / "prefect", "worker", "start", "--pool", pool],
            cwd=home,
            env={**factory.environment, "PREFECT_WORKER_QUERY_SECONDS": "1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def carried_out(factory: Factory, name: str) -> dict[str, Any]:
    """A run of the deployment, when it has ended."""
    path = f"deployments/{deployment(factory, name)['id']}/create_flow_run"
    id = ask(factory, "POST", path, state={"type": "SCHEDULED"})["id"]
    deadline = time.monotonic() + 240
    while True:
        run = ask(factory, "GET", f"flow_runs/{id}")
        if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return dict(run)
        log = (factory.folder / "worker" / "log").read_text()[-2000:]
        assert time.monotonic() < deadline, (run["state"], log)
        time.sleep(0.3)


@pytest.mark.slow
def test_a_schedule_is_carried_out_by_prefects_worker_and_an_edited_recipe_waits(
    factory: Factory,
) -> None:
    factory.write_recipe(name="nightly")
    factory.write_problems(4)
    made = factory.cord(
        "schedule", "recipe.yaml", *NIGHTLY, "--timezone", "Europe/Berlin", "--pool", "p-nightly"
    )
    assert made.code == 0, made.err
    assert "refresh/nightly" in made.err and "made just now" in made.err
    assert made.err.count("03:00 CE") == 3, "the next three times"
    found = deployment(factory, "nightly")
    assert found["parameters"] == {"lake": factory.lake, "schedule": "nightly"}
    assert found["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert found["global_concurrency_limit"]["limit"] == 1
    assert set(found["tags"]) == {"cord", "nightly"}
    assert found["work_pool_name"] == "p-nightly" and ":" not in found["entrypoint"]
    factory.write_recipe(name="nightly", search={"width": 1})  # edited, not scheduled again

    with worker(factory, "p-nightly"):
        first = carried_out(factory, "nightly")
        assert first["state_type"] == "COMPLETED", first["state"]
        assert first["state"]["message"].startswith("nightly@1: ")
        kept = Path(factory.lake) / "runs" / first["name"] / "recipe.json"
        assert json.loads(kept.read_text())["recipe"]["search"]["width"] == 4
        second = carried_out(factory, "nightly")
    assert (second["state_type"], second["state"]["name"]) == ("COMPLETED", "Nothing new")
    assert second["state"]["message"] == "nothing new: 4 problems are as in nightly@1"
    assert second["name"] == "nightly: nothing new" and "nothing-new" in second["tags"]
    assert len([*(Path(factory.lake) / "runs").iterdir()]) == 1

    again = factory.cord("schedule", "recipe.yaml", *NIGHTLY, "--pool", "p-nightly")
    assert again.code == 0, again.err
    assert "search.width: 4 -> 1" in again.err and "of another search" in again.err
    assert deployment(factory, "nightly")["id"] == found["id"]
    listed = factory.cord("schedule", "--list", "--json").json
    assert [(one["name"], one["on_prefect"]) for one in listed] == [("nightly", "active")]


@pytest.mark.slow
def test_one_schedule_a_data_set_one_lake_a_name_and_a_removed_one_is_gone(
    factory: Factory,
) -> None:
    factory.write_recipe(name="alone")
    factory.write_problems(3)
    given = ("schedule", "recipe.yaml", *NIGHTLY, "--pool", "p-alone")
    assert factory.cord(*given).code == 0
    other = factory.cord(*given, "--name", "other")
    assert other.code == 2 and "by the schedule 'alone' already" in other.err
    elsewhere = factory.cord(*given, "--lake", str(factory.folder / "elsewhere"))
    assert elsewhere.code == 2 and "choose another name" in elsewhere.err
    taken = factory.cord(*given, "--name", "cord")
    assert taken.code == 2 and "`cord serve`" in taken.err
    removed = factory.cord("schedule", "alone", "--remove")
    assert removed.code == 0, removed.err
    with pytest.raises(httpx.HTTPStatusError):
        deployment(factory, "alone")
    assert factory.cord("schedule", "--list", "--json").json == []
    gone = factory.cord("schedule", "alone", "--remove")
    assert gone.code == 2 and "no schedule 'alone'" in gone.err


def test_what_cannot_be_scheduled_is_said_before_anything_is_kept(factory: Factory) -> None:
    factory.write_recipe(name="refused")
    factory.write_problems(3)
    given = ("schedule", "recipe.yaml")
    factory.environment["PREFECT_API_URL"] = "http://127.0.0.1:9/api"
    for arguments, said in (
        ((*given,), "give --cron"),
        ((*given, "--cron", "0 25 * * *"), "the hour is '25'"),
        ((*given, *NIGHTLY, "--timezone", "Mars"), "no time zone"),
        ((*given, *NIGHTLY, "--name", "../x"), "cannot name a schedule"),
        ((*given, *NIGHTLY), "start it first"),
        (("schedule",), "name a recipe"),
    ):
        ran = factory.cord(*arguments)
        assert ran.code == 2 and said in ran.err, (arguments, ran.err)
    assert not Path(factory.lake).exists()
    del factory.environment["PREFECT_API_URL"]
    assert "PREFECT_API_URL is not set" in factory.cord(*given, *NIGHTLY).err


@pytest.mark.slow
def test_the_declared_twin_is_taken_by_prefects_own_command(factory: Factory) -> None:
    environment = {**factory.environment, "CORD_LAKE": factory.lake}
    prefect = [BIN / "prefect", "--no-prompt"]

    def run(*arguments: str) -> str:
        ended = subprocess.run(
            [*prefect, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    run("work-pool", "create", "cord", "--type", "process", "--overwrite")
    run("deploy", "--all", "--prefect-file", "infra/prefect.yaml")
    found = deployment(factory, "demo")
    assert found["parameters"] == {"lake": factory.lake, "recipe": "recipes/demo.yaml"}
    assert found["entrypoint"] == "flows.scheduled_refresh.refresh_on_schedule"
    assert found["schedules"][0]["schedule"]["cron"] == "0 3 * * *"
    assert found["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert found["global_concurrency_limit"]["limit"] == 1
    ask(factory, "DELETE", f"deployments/{found['id']}")
