"""Several shards in one commit: each is there once, in whatever company it is committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from cord.lake import Lake, open_lake
from cord.lake.tables import delta
from cord.lake.tables.delta import open_table
from cord.lake.tables.transactions import seen_app_ids

Rows = Callable[..., pa.Table]


def parts_of(make_rows: Rows, *shards: int) -> dict[str, pa.Table]:
    return {f"run/{shard}": make_rows("steps", [f"p{shard}"]) for shard in shards}


def times_there(lake: Lake) -> Counter[str]:
    return Counter(str(row["problem_id"]) for row in lake.tables.read("steps").to_pylist())


def test_shards_go_together_and_what_was_there_is_left_out(lake: Lake, make_rows: Rows) -> None:
    assert lake.tables.append_once("steps", make_rows("steps", ["p1"]), "run/1")
    made = lake.tables.append_each_once("steps", parts_of(make_rows, 0, 1, 2))
    assert made == {"run/0", "run/2"}
    assert lake.tables.append_each_once("steps", parts_of(make_rows, 0, 1, 2)) == set()
    assert times_there(lake) == {"p0": 1, "p1": 1, "p2": 1}
    assert lake.tables.versions()["steps"] == 2, "two commits"
    ids = [f"run/{shard}" for shard in range(40)]
    assert lake.tables.committed("steps", ids) == {"run/0", "run/1", "run/2"}


def test_racers_whose_shards_overlap_commit_each_once(lake: Lake, make_rows: Rows) -> None:
    def commit(first: int) -> set[str]:
        parts = parts_of(make_rows, *range(first, first + 4))
        return open_lake(lake.uri).tables.append_each_once("steps", parts)

    with ThreadPoolExecutor(5) as pool:
        made = Counter(app_id for one in pool.map(commit, range(5)) for app_id in one)
    assert set(made.values()) == {1} and len(made) == 8
    assert set(times_there(lake).values()) == {1} and len(times_there(lake)) == 8


def test_a_commit_whose_answer_was_lost_is_claimed_whole(
    folder_lake: Lake, make_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, lost = delta._commit, []

    def lose_the_first(*given: object) -> None:
        commit(*given)  # type: ignore[arg-type]
        if not lost:
            lost.append(1)
            raise OSError("the answer was lost")

    monkeypatch.setattr(delta, "_commit", lose_the_first)
    made = folder_lake.tables.append_each_once("steps", parts_of(make_rows, 0, 1))
    assert made == {"run/0", "run/1"}
    assert times_there(folder_lake) == {"p0": 1, "p1": 1}


def test_all_transactions_are_read_behind_and_within_a_checkpoint(
    folder_lake: Lake, make_rows: Rows
) -> None:
    """As deltalake answers for one at a time."""
    key = "tables/steps"
    assert seen_app_ids(folder_lake.store, key) == set()
    for shard in range(8):
        folder_lake.tables.append_each_once("steps", parts_of(make_rows, 2 * shard, 2 * shard + 1))
        if shard == 4:
            DeltaTable(folder_lake.store.uri(key)).create_checkpoint()
    seen = seen_app_ids(folder_lake.store, key)
    assert seen == {f"run/{shard}" for shard in range(16)}
    table = open_table(folder_lake.store, key)
    assert table is not None and all(table.transaction_version(one) == 1 for one in seen)
