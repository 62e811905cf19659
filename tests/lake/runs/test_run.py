"""What the lake remembers of a run, and what it says when that was damaged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cord.errors import LakeError, UsageError
from cord.lake import Lake
from cord.lake.runs.holder import Holder, this_process
from cord.lake.runs.lease import TERMS, Leases
from cord.lake.runs.run import (
    RunDocument,
    State,
    check_run_id,
    list_runs,
    load_recipe_of,
    load_run,
    observed_state,
    require_run,
    save_run,
    state_in_words,
)
from cord.lake.tables.query import query

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def saved(lake: Lake, run_id: str, state: State = "running", age_s: int = 0) -> RunDocument:
    begun = NOON - timedelta(seconds=age_s)
    document = RunDocument(
        run_id=run_id, recipe="demo", fingerprint="f", state=state, created_at=begun
    )
    save_run(lake, document)
    return document


@pytest.mark.parametrize("name", ["", "../x", "a\n", "a/b", "é", "-a", "a" * 101, "a'b"])
def test_a_name_that_could_leave_the_lake_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a run"):
        check_run_id(name)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"recipe": {}, "folder": ""}'])
def test_a_damaged_recipe_is_one_sentence(folder_lake: Lake, content: bytes) -> None:
    folder_lake.store.write("runs/r/recipe.json", content)
    with pytest.raises(LakeError, match=r"runs/r/recipe\.json .* run the recipe's file again"):
        load_recipe_of(folder_lake, "r")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}"])
def test_a_damaged_document_is_one_sentence(folder_lake: Lake, content: bytes) -> None:
    folder_lake.store.write("runs/r/run.json", content)
    with pytest.raises(LakeError, match=r"runs/r/run\.json"):
        load_run(folder_lake, "r")


def test_one_damaged_document_costs_no_other_run_its_place(folder_lake: Lake) -> None:
    saved(folder_lake, "old", "completed", age_s=60)
    saved(folder_lake, "new", "failed")
    other = saved(folder_lake, "other", "completed", age_s=30)
    folder_lake.store.write("runs/torn/run.json", b'{"run_id": "to')
    folder_lake.store.write("runs/copied/run.json", other.model_dump_json().encode())
    listed = list_runs(folder_lake)
    assert [run.run_id for run in listed] == ["new", "other", "old", "torn", "copied"]
    assert [run.state for run in listed[-2:]] == ["damaged", "damaged"]
    assert "runs/torn/run.json in the lake is not this run's document" in listed[-2].message
    rows = query(folder_lake, "select run_id, state, created_at from runs").to_pylist()
    assert [row["run_id"] for row in rows] == [run.run_id for run in listed]
    assert (rows[3]["state"], rows[3]["created_at"]) == ("damaged", None)
    with pytest.raises(UsageError, match="runs here: new, other, old, torn, copied"):
        require_run(folder_lake, "nosuch")


def test_a_run_is_running_as_long_as_its_lease_lives(folder_lake: Lake) -> None:
    document = saved(folder_lake, "r")
    assert observed_state(folder_lake, document) == "interrupted", "nobody has ever held it"
    present = datetime.now(UTC)
    elsewhere = Leases(
        folder_lake.store, "r", Holder(host="elsewhere", pid=1), clock=lambda: present
    )
    held = elsewhere.take()
    assert observed_state(folder_lake, document) == "running"
    assert [run.state for run in list_runs(folder_lake)] == ["running"]
    assert query(folder_lake, "select state from runs")["state"].to_pylist() == ["running"]
    elsewhere.release(held)
    assert observed_state(folder_lake, document) == "interrupted"

    present -= timedelta(seconds=TERMS.ttl_s + TERMS.allowance_s)
    elsewhere.take()
    assert observed_state(folder_lake, document) == "interrupted", "its machine is gone"


def test_a_run_whose_process_on_this_machine_died_is_interrupted_at_once(folder_lake: Lake) -> None:
    me = this_process()
    if me.began is None:
        pytest.skip("needs Linux's /proc")
    document = saved(folder_lake, "r")
    Leases(folder_lake.store, "r", me.model_copy(update={"began": me.began - 1})).take()
    assert observed_state(folder_lake, document) == "interrupted"


def test_a_run_that_ends_while_it_is_looked_at_is_not_interrupted(folder_lake: Lake) -> None:
    seen = saved(folder_lake, "r")
    saved(folder_lake, "r", "completed")
    assert observed_state(folder_lake, seen) == "completed"


def test_what_was_quarantined_is_said_of_a_completed_run_only() -> None:
    assert state_in_words("completed", 3) == "completed with 3 quarantined"
    assert state_in_words("completed", 0) == state_in_words("completed", None) == "completed"
    assert state_in_words("refused", 3) == "refused"
