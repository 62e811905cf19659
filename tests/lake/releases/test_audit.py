"""A release that was tampered with is found out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from cord.lake import Lake
from cord.lake.releases.audit import verify_release
from cord.lake.releases.manifest import Manifest
from cord.lake.releases.release import publish

Rows = Callable[..., pa.Table]
PROBLEMS = ["p1", "p2", "p3"]


def released(lake: Lake, make_rows: Rows, outcome: str = "correct") -> Manifest:
    """Three records with trajectories; the verdict on p3 is `outcome`."""
    lake.tables.append_once("trajectories", make_rows("trajectories", PROBLEMS), "t")
    # The judgement's key is not the trajectory's, and a wrong one on the same problem stands by.
    right = make_rows("verdicts", PROBLEMS[:2], key="judgement")
    last = make_rows("verdicts", PROBLEMS[2:], key="judgement", outcome=outcome)
    other = make_rows("verdicts", PROBLEMS, key="other", outcome="wrong", answer="7")
    lake.tables.append_once("verdicts", pa.concat_tables([right, last, other]), "v")
    return publish(lake, "demo", make_rows("records", PROBLEMS), "run", "f", {}, {}).manifest


def test_a_whole_release_has_nothing_wrong_with_it(lake: Lake, make_rows: Rows) -> None:
    assert verify_release(lake, released(lake, make_rows)) == []


def test_later_runs_do_not_disturb_it(folder_lake: Lake, make_rows: Rows) -> None:
    manifest = released(folder_lake, make_rows)
    publish(folder_lake, "demo", make_rows("records", ["p9"]), "run2", "f", {}, {})
    folder_lake.tables.append_once("trajectories", make_rows("trajectories", PROBLEMS), "t2")
    assert verify_release(folder_lake, manifest) == []


def test_a_missing_file_is_named(folder_lake: Lake, make_rows: Rows) -> None:
    manifest = released(folder_lake, make_rows)
    file = manifest.files[0].path
    Path(folder_lake.store.uri(file)).unlink()
    assert verify_release(folder_lake, manifest) == [f"{file} is missing"]


@pytest.mark.parametrize(("change", "said"), [(b"", "has 0 bytes"), (None, "has sha256")])
def test_a_changed_file_is_named(
    folder_lake: Lake, make_rows: Rows, change: bytes | None, said: str
) -> None:
    manifest = released(folder_lake, make_rows)
    path = Path(folder_lake.store.uri(manifest.files[0].path))
    whole = bytearray(path.read_bytes())
    whole[100] ^= 1
    path.write_bytes(whole if change is None else change)
    (problem,) = verify_release(folder_lake, manifest)
    assert said in problem


def test_rows_that_are_not_those_of_the_manifest_are_found(
    folder_lake: Lake, make_rows: Rows
) -> None:
    manifest = released(folder_lake, make_rows)
    forged = manifest.model_copy(update={"rows": 4, "content_hash": "0" * 64})
    few, other = verify_release(folder_lake, forged)
    assert "there are 3 rows, released were 4" in few
    assert "content hash" in other


@pytest.mark.parametrize("outcome", ["wrong", "undecided"])
def test_a_record_without_a_correct_verdict_is_named(
    folder_lake: Lake, make_rows: Rows, outcome: str
) -> None:
    manifest = released(folder_lake, make_rows, outcome)
    assert verify_release(folder_lake, manifest) == ["1 records have no correct verdict: p3"]


def test_a_record_whose_trajectory_is_not_in_the_lake_is_named(
    folder_lake: Lake, make_rows: Rows
) -> None:
    manifest = publish(
        folder_lake, "demo", make_rows("records", PROBLEMS), "run", "f", {}, {}
    ).manifest
    assert verify_release(folder_lake, manifest) == ["3 records have no trajectory: p1, p2, p3"]


COUNTS = {"problems": 5, "records": 3, "wrong": 1, "quarantined": 1, "rows": 3}


def counted(lake: Lake, make_rows: Rows) -> Manifest:
    """As `released`; beside the three a wrong problem, and a line that could not be read."""
    lake.tables.append_once("problems", make_rows("problems", [*PROBLEMS, "p4"]), "plan")
    lake.tables.append_once("quarantine", make_rows("quarantine", [""], stage="read"), "intake")
    released(lake, make_rows)
    records = make_rows("records", PROBLEMS)
    manifest = publish(lake, "counted", records, "run", "f", {}, COUNTS).manifest
    # What comes later is not the release's.
    lake.tables.append_once("quarantine", make_rows("quarantine", ["p4"], stage="decode"), "late")
    return manifest


def test_what_its_run_counted_is_held_against_the_tables(lake: Lake, make_rows: Rows) -> None:
    assert verify_release(lake, counted(lake, make_rows)) == []


@pytest.mark.parametrize("name", ["problems", "records", "wrong", "quarantined", "rows"])
def test_a_count_that_the_tables_do_not_have_is_named(
    folder_lake: Lake, make_rows: Rows, name: str
) -> None:
    manifest = counted(folder_lake, make_rows)
    forged = manifest.model_copy(update={"counts": {**COUNTS, name: 9}})
    faults = verify_release(folder_lake, forged)
    there = COUNTS[name]
    assert f"its run counted 9 {name}, and {there} are in the lake" in faults
    assert any(fault.startswith("of ") for fault in faults) == (name != "rows")


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("datasets/counted/_delta_log/00000000000000000001.json", "its tables cannot be read"),
        ("tables/verdicts/_delta_log/00000000000000000001.json", "its tables cannot be read"),
        ("tables/trajectories/part-", "its tables cannot be read"),
    ],
)
def test_a_table_of_which_something_is_lost_is_a_fault_and_no_traceback(
    lake: Lake, make_rows: Rows, lost: str, said: str
) -> None:
    manifest = counted(lake, make_rows)
    lake.store.delete(lake.store.list(lost)[:1])
    (fault,) = verify_release(lake, manifest)
    assert said in fault and "`cord verify --lake`" in fault and "\n" not in fault


def test_a_garbled_file_of_a_table_is_a_fault_and_no_traceback(
    folder_lake: Lake, make_rows: Rows
) -> None:
    manifest = counted(folder_lake, make_rows)
    folder_lake.store.write(folder_lake.store.list("tables/trajectories/part-")[0], b"garbled")
    (fault,) = verify_release(folder_lake, manifest)
    assert "its tables cannot be read" in fault
