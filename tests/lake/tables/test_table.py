"""Each shard once, whoever commits it and however often."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from cord.lake import Lake, open_lake
from cord.lake.tables.delta import open_table
from cord.lake.tables.schemas import SCHEMAS, TABLES
from cord.lake.tables.table import table_key

Rows = Callable[..., pa.Table]


def problem_ids(lake: Lake, table: str) -> list[str]:
    """Of every row of the table, sorted."""
    return sorted(str(row["problem_id"]) for row in lake.tables.read(table).to_pylist())


def test_a_shard_is_appended_once(lake: Lake, make_rows: Rows) -> None:
    shard = make_rows("steps", ["p1", "p2"])
    assert lake.tables.append_once("steps", shard, "run/0")
    assert not lake.tables.append_once("steps", shard, "run/0")
    assert lake.tables.append_once("steps", make_rows("steps", ["p3"]), "run/1")
    assert problem_ids(lake, "steps") == ["p1", "p2", "p3"]
    assert lake.tables.committed("steps", ["run/0", "run/1", "run/2"]) == {"run/0", "run/1"}


def test_of_eight_racers_on_one_shard_one_commits(lake: Lake, make_rows: Rows) -> None:
    shard = make_rows("steps", ["p1", "p2"])
    won = _at_once(8, lambda lake, _: lake.tables.append_once("steps", shard, "run/0"), lake)
    assert won.count(True) == 1
    assert lake.tables.read("steps").num_rows == 2


def test_eight_shards_at_once_all_arrive(lake: Lake, make_rows: Rows) -> None:
    shards = [make_rows("verdicts", [f"p{index}"]) for index in range(8)]
    won = _at_once(
        8, lambda lake, n: lake.tables.append_once("verdicts", shards[n], f"run/{n}"), lake
    )
    assert won == [True] * 8
    assert problem_ids(lake, "verdicts") == [f"p{index}" for index in range(8)]


def test_every_table_takes_its_rows_and_gives_them_back(folder_lake: Lake, make_rows: Rows) -> None:
    for table in TABLES:
        wrote = make_rows(table, ["p1", "p2"])
        folder_lake.tables.append_once(table, wrote, "run/0")
        read = folder_lake.tables.read(table)
        assert read.schema.equals(SCHEMAS[table])
        assert read.sort_by("problem_id").to_pylist() == wrote.to_pylist()


def test_a_shard_without_rows_is_a_commit_too(folder_lake: Lake) -> None:
    assert folder_lake.tables.append_once("steps", SCHEMAS["steps"].empty_table(), "run/0")
    assert folder_lake.tables.committed("steps", ["run/0"]) == {"run/0"}
    assert folder_lake.tables.read("steps").num_rows == 0


def test_a_table_not_yet_written_reads_as_empty(lake: Lake) -> None:
    read = lake.tables.read("steps", ["score", "teacher"], pc.field("kept"))
    assert read.num_rows == 0
    assert read.column_names == ["score", "teacher"]
    assert lake.tables.committed("steps", ["run/0"]) == set()
    assert lake.tables.versions() == {}


def test_rows_that_do_not_fit_are_refused_before_anything_is_written(folder_lake: Lake) -> None:
    with pytest.raises(ValueError, match=r"columns missing: .*'teacher'.*unknown: \['extra'\]"):
        folder_lake.tables.append_once("steps", pa.table({"extra": [1]}), "run/0")
    assert folder_lake.tables.versions() == {}


def test_a_filter_reads_only_the_files_that_may_hold_the_rows(
    folder_lake: Lake, make_rows: Rows
) -> None:
    for shard in range(4):
        names = [f"p{shard}{number}" for number in range(3)]
        folder_lake.tables.append_once("steps", make_rows("steps", names), f"run/{shard}")
    table = open_table(folder_lake.store, table_key("steps"))
    assert table is not None
    where = pc.field("problem_id") == "p21"
    assert len(list(table.to_pyarrow_dataset().get_fragments(filter=where))) == 1
    assert folder_lake.tables.read("steps", ["problem_id"], where).to_pylist() == [
        {"problem_id": "p21"}
    ]


def test_rows_stream_a_few_thousand_at_a_time(folder_lake: Lake, make_rows: Rows) -> None:
    names = [f"p{number}" for number in range(10_000)]
    folder_lake.tables.append_once("verdicts", make_rows("verdicts", names), "run/0")
    sizes = [batch.num_rows for batch in folder_lake.tables.scan("verdicts", ["problem_id"])]
    assert sum(sizes) == 10_000
    assert max(sizes) <= 4096


def test_an_old_version_reads_as_it_was(lake: Lake, make_rows: Rows) -> None:
    lake.tables.append_once("steps", make_rows("steps", ["p1"]), "run/0")
    version = lake.tables.versions()["steps"]
    lake.tables.append_once("steps", make_rows("steps", ["p2"]), "run/1")
    assert lake.tables.read("steps", version=version)["problem_id"].to_pylist() == ["p1"]
    assert lake.tables.versions() == {"steps": version + 1}


@pytest.mark.slow
def test_after_many_commits_old_versions_and_app_ids_are_still_there(
    folder_lake: Lake, make_rows: Rows
) -> None:
    for shard in range(210):  # two checkpoints
        folder_lake.tables.append_once("steps", make_rows("steps", ["p"]), f"run/{shard}")
    assert folder_lake.tables.committed("steps", ["run/0", "run/209"]) == {"run/0", "run/209"}
    assert folder_lake.tables.read("steps", version=1).num_rows == 1
    table = DeltaTable(folder_lake.store.uri(table_key("steps")))
    configuration = table.metadata().configuration
    assert configuration["delta.enableExpiredLogCleanup"] == "false"


def _at_once(racers: int, work: Callable[[Lake, int], bool], lake: Lake) -> list[bool]:
    """What each racer's work returned; each has the lake opened by itself."""
    start = threading.Barrier(racers)

    def race(racer: int) -> bool:
        own = open_lake(lake.uri)
        start.wait()
        return work(own, racer)

    with ThreadPoolExecutor(racers) as pool:
        return list(pool.map(race, range(racers)))
