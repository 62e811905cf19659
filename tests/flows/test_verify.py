"""`cord verify`: of a release, and of the whole lake behind a run that was killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from factory import Factory

from cord.lake import open_lake
from cord.lake.releases.release import list_releases

pytestmark = pytest.mark.slow


def kill_when(factory: Factory, pattern: str) -> None:
    """Start a run, and kill -9 all of it as soon as such a file is in its lake."""
    process = factory.start("run", "recipe.yaml", "--run-id", "killed")
    deadline = time.monotonic() + 180
    while not any(Path(factory.lake).glob(pattern)) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def test_a_lake_behind_a_killed_run_is_mended_and_the_run_resumed(factory: Factory) -> None:
    kill_when(factory, "tables/steps/_delta_log/*01.json")
    found = factory.cord("verify", "--lake", "--json")
    assert found.code == 1 and "Traceback" not in found.err
    assert not found.json["sound"]
    assert "dead run" in {finding["kind"] for finding in found.json["found"]}
    assert "can be mended" in found.err
    repaired = factory.cord("verify", "--lake", factory.lake, "--repair", "--json")
    assert repaired.code == 0, repaired.err
    assert {done["kind"] for done in repaired.json["mended"]} >= {"dead run"}
    again = factory.cord("verify", "--lake", "--repair", "--json")
    assert again.code == 0 and again.json["mended"] == []
    resumed = factory.cord("resume", "killed", "--json")
    assert resumed.code == 0, resumed.err
    assert factory.cord("verify", "--lake", "--releases").code == 0
    (manifest,) = list_releases(open_lake(factory.lake))
    assert manifest.run_id == "killed" and manifest.version == 1


def test_repair_is_for_the_lake_and_not_for_a_release(factory: Factory) -> None:
    open_lake(factory.lake, create=True)
    ran = factory.cord("verify", "small@1", "--repair")
    assert ran.code == 2 and "leave the release out" in ran.err
    for arguments in (["verify"], ["verify", "--lake"], ["verify", "--json", "--lake"]):
        assert factory.cord(*arguments).code == 0
