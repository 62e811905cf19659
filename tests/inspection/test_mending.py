"""A run killed behind any of its writes leaves a lake that can be mended, and nothing is lost."""

from __future__ import annotations

import pytest
from inspection.a_run import NAME, RUN, carry_out, released, step_names

from cord.inspection import inspect_lake
from cord.inspection.census import YOUNG, present
from cord.inspection.mending import Repair, repair_lake
from cord.lake import Lake
from cord.lake.releases.audit import verify_release
from cord.lake.releases.release import list_releases
from cord.lake.runs.run import require_run

STEPS = 28
SECOND_SHARD = range(13, 21)
"""How many steps are done behind writes that the first shard had in the same way."""


def contents(lake: Lake) -> dict[str, bytes | None]:
    return {key: lake.store.read(key) for key in lake.store.list()}


def test_a_whole_run_leaves_a_sound_lake_and_nothing_to_mend(lake: Lake) -> None:
    carry_out(lake)
    assert len(step_names(lake)) == STEPS
    assert inspect_lake(lake) == []
    before = contents(lake)
    assert repair_lake(lake).mended == ()
    assert contents(lake) == before


@pytest.mark.slow
@pytest.mark.parametrize("steps", sorted(set(range(2, STEPS)) - set(SECOND_SHARD)))
def test_a_run_killed_behind_any_write_is_mended_and_resumed_to_the_same_release(
    folder_lake: Lake, steps: int
) -> None:
    lake = folder_lake
    carry_out(lake, steps)
    done = repair_lake(lake)
    assert done.left == () and done.mended
    before = contents(lake)
    assert repair_lake(lake) == Repair((), (), {})
    assert contents(lake) == before
    carry_out(lake)
    assert inspect_lake(lake) == []
    (manifest,) = list_releases(lake, NAME)
    assert manifest.version == 1 and verify_release(lake, manifest) == []
    assert manifest.content_hash == released(lake).content_hash


def test_a_run_killed_before_it_had_a_document_leaves_nothing_that_counts(lake: Lake) -> None:
    carry_out(lake, 1)
    assert inspect_lake(lake) == []  # somebody may be laying it down at this moment
    later = present() + 2 * YOUNG
    (finding,) = inspect_lake(lake, later)
    assert finding.kind == "run that never began"
    assert repair_lake(lake, later).left == ()
    assert lake.store.list("runs/") == []


def test_what_a_dead_run_had_released_is_written_into_its_document(folder_lake: Lake) -> None:
    carry_out(folder_lake, step_names(folder_lake).index("manifest"))
    (before,) = [f for f in inspect_lake(folder_lake) if f.kind == "commit without release"]
    assert before.run_id == RUN and before.since is not None
    repair_lake(folder_lake)
    run = require_run(folder_lake, RUN)
    assert (run.state, run.release) == ("completed", "demo@1")
    assert (run.records, run.wrong, run.quarantined) == (3, 1, 2)
    assert folder_lake.store.read(f"runs/{RUN}/summary.json")
