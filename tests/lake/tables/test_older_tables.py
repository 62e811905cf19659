"""Lakes that an older cord has made: trajectories have no `scores`, records no signals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from cord.lake import Lake, open_lake
from cord.lake.releases.audit import verify_release
from cord.lake.releases.release import find_release, publish
from cord.lake.tables.delta import commit_once
from cord.lake.tables.query import query
from cord.lake.tables.schemas import RECORDS, TRAJECTORIES
from cord.lake.tables.table import table_key

Rows = Callable[..., pa.Table]
OLD = TRAJECTORIES.remove(TRAJECTORIES.get_field_index("scores"))
SCORES = "select problem_id, scores from trajectories order by problem_id"


@pytest.fixture
def old_lake(lake: Lake, make_rows: Rows) -> Lake:
    """A lake whose one shard was committed in the schema of an older cord."""
    rows = make_rows("trajectories", ["p1"]).select(OLD.names)
    key = table_key("trajectories")
    commit_once(lake.store, key, OLD, rows, mode="append", app_id="run/0")
    return lake


def shard(make_rows: Rows, problem_id: str, scores: list[float]) -> pa.Table:
    return make_rows("trajectories", [problem_id], scores=scores)


def test_an_old_table_is_read_with_nulls_and_left_as_it_is(old_lake: Lake) -> None:
    before = old_lake.tables.versions()
    assert old_lake.tables.read("trajectories")["scores"].to_pylist() == [None]
    assert query(old_lake, SCORES).to_pylist() == [{"problem_id": "p1", "scores": None}]
    assert old_lake.tables.versions() == before


def test_the_next_commit_adds_the_column_and_a_known_one_stays_known(
    old_lake: Lake, make_rows: Rows
) -> None:
    new = shard(make_rows, "p2", [0.25, 0.5])
    assert old_lake.tables.append_once("trajectories", new, "run/1")
    assert not old_lake.tables.append_once("trajectories", shard(make_rows, "p1", [1.0]), "run/0")
    expected = [{"problem_id": "p1", "scores": None}, {"problem_id": "p2", "scores": [0.25, 0.5]}]
    assert query(old_lake, SCORES).to_pylist() == expected
    read = old_lake.tables.read("trajectories", ["problem_id", "scores"]).sort_by("problem_id")
    assert read.to_pylist() == expected


def test_a_release_of_old_days_still_sees_the_table_as_it_was(
    old_lake: Lake, make_rows: Rows
) -> None:
    records = make_rows("records", ["p1"]).cast(RECORDS)
    publish(old_lake, "data", records, "run", "f", {"holds": True}, {})
    old_lake.tables.append_once("trajectories", shard(make_rows, "p2", [0.5]), "run/1")
    assert query(old_lake, SCORES, release="data@1").to_pylist() == [
        {"problem_id": "p1", "scores": None}
    ]
    assert query(old_lake, SCORES).num_rows == 2


def test_eight_shards_at_once_find_the_column_missing_and_all_arrive(
    old_lake: Lake, make_rows: Rows
) -> None:
    start = threading.Barrier(8)

    def commit(number: int) -> bool:
        own = open_lake(old_lake.uri)
        start.wait()
        rows = shard(make_rows, f"q{number}", [number / 8 + 0.1])
        return own.tables.append_once("trajectories", rows, f"run/{number + 1}")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(commit, range(8)))
    answer = query(old_lake, SCORES).to_pylist()
    assert [row["scores"] for row in answer] == [None, *([n / 8 + 0.1] for n in range(8))]


OLD_RECORDS = RECORDS.names[: RECORDS.names.index("domain")]


@pytest.fixture
def old_release(lake: Lake, make_rows: Rows, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A data set whose only release is of the days before quality signals."""
    schema = pa.schema([RECORDS.field(name) for name in OLD_RECORDS])
    monkeypatch.setattr("cord.lake.releases.release.RECORDS", schema)
    rows = make_rows("records", ["p1"]).select(OLD_RECORDS)
    publish(lake, "data", rows, "run", "f", {"holds": True}, {})
    monkeypatch.undo()
    return lake


SIGNALS_SEEN = "select problem_id, repetition, teacher_shares from records order by problem_id"
SHARES = [{"teacher": "a", "share": 1.0}]


def test_records_without_signals_are_read_with_nulls_and_verify(old_release: Lake) -> None:
    expected = [{"problem_id": "p1", "repetition": None, "teacher_shares": None}]
    assert query(old_release, SIGNALS_SEEN).to_pylist() == expected
    assert query(old_release, SIGNALS_SEEN, release="data@1").to_pylist() == expected
    faults = verify_release(old_release, find_release(old_release, "data@1"))
    assert [fault for fault in faults if "trajectory" not in fault] == []


def test_the_next_release_has_signals_and_the_old_one_stays_as_it_was(
    old_release: Lake, make_rows: Rows
) -> None:
    before = find_release(old_release, "data@1")
    rows = make_rows("records", ["p1", "p2"], repetition=0.25, teacher_shares=SHARES)
    assert publish(old_release, "data", rows, "run2", "f", {"holds": True}, {}).new
    seen = query(old_release, SIGNALS_SEEN).to_pylist()
    assert [(row["repetition"], row["teacher_shares"]) for row in seen] == [(0.25, SHARES)] * 2
    assert query(old_release, SIGNALS_SEEN, release="data@1")["repetition"].to_pylist() == [None]
    assert find_release(old_release, "data@1") == before


def test_signals_alone_make_no_new_release(old_release: Lake, make_rows: Rows) -> None:
    rows = make_rows("records", ["p1"], repetition=0.25)
    assert not publish(old_release, "data", rows, "run2", "f", {"holds": True}, {}).new
