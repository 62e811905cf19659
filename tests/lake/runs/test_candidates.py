"""Candidate records between the stages: what one stage drops, the next one does not read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.errors import LakeError
from cord.lake import Lake, open_lake
from cord.lake.runs.candidates import (
    ASIDE,
    CANDIDATES,
    DECONTAMINATE,
    DEDUPLICATE,
    SELECT,
    STAGES,
    read_aside,
    read_candidates,
    read_drops,
    write_candidates,
    write_drops,
)
from cord.lake.tables.schemas import DROPPED

Name = tuple[str, int]
PART_ROWS = 16_384


def candidates(names: Iterable[Name]) -> pa.RecordBatch:
    rows = [{"problem_id": id, "rank": rank, "question": f"{id}?"} for id, rank in names]
    return pa.RecordBatch.from_pylist(rows, schema=CANDIDATES)


def dropped(names: Iterable[Name], stage: str = DEDUPLICATE) -> pa.Table:
    rows = [{"problem_id": id, "rank": rank, "stage": stage} for id, rank in names]
    return pa.Table.from_pylist(rows, schema=DROPPED)


def names(batches: Iterable[pa.RecordBatch]) -> list[Name]:
    return [(r["problem_id"], r["rank"]) for batch in batches for r in batch.to_pylist()]


def many(rows: int, size: int) -> Iterator[pa.RecordBatch]:
    """Rows p0, p1 ... in batches of one size, but for the last."""
    for start in range(0, rows, size):
        ids = pa.array([f"p{n}" for n in range(start, min(start + size, rows))])
        columns = [
            ids if field.name == "problem_id" else pa.nulls(len(ids), field.type)
            for field in CANDIDATES
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=CANDIDATES)


def parts(lake: Lake) -> list[str]:
    return [Path(key).name for key in lake.store.list("runs/run/records/")]


@pytest.mark.parametrize("size", [1_000, 40_000])
def test_parts_are_cut_to_one_size_whatever_the_batches(folder_lake: Lake, size: int) -> None:
    rows = 2 * PART_ROWS + 5
    assert write_candidates(folder_lake, "run", many(rows, size)) == rows
    assert parts(folder_lake) == ["00000.parquet", "00001.parquet", "00002.parquet"]
    lengths = [
        pq.read_metadata(pa.BufferReader(folder_lake.store.read(key))).num_rows
        for key in folder_lake.store.list("runs/run/records/")
    ]
    assert lengths == [PART_ROWS, PART_ROWS, 5]
    read = [b["problem_id"] for b in read_candidates(folder_lake, "run", ["problem_id"])]
    assert pa.chunked_array(read).to_pylist() == [f"p{n}" for n in range(rows)]


def test_all_columns_are_read_or_those_asked_for_in_their_order(folder_lake: Lake) -> None:
    write_candidates(folder_lake, "run", [candidates([("p", 0)])])
    write_drops(folder_lake, "run", DEDUPLICATE, dropped([("other", 0)]))
    (whole,) = read_candidates(folder_lake, "run")
    assert whole.schema.names == CANDIDATES.names
    (some,) = read_candidates(folder_lake, "run", ("question", "rank"))
    assert some.to_pylist() == [{"question": "p?", "rank": 0}]


def test_a_stage_reads_what_those_before_it_have_left(folder_lake: Lake) -> None:
    beam = [("p", 0), ("p", 1), ("q", 0), ("r", 0)]
    write_candidates(folder_lake, "run", [candidates(beam)])
    write_drops(folder_lake, "run", SELECT, dropped([]))
    write_drops(folder_lake, "run", DEDUPLICATE, dropped([("p", 1), ("r", 0)]))
    write_drops(folder_lake, "run", DECONTAMINATE, dropped([("q", 0)], DECONTAMINATE))
    assert names(read_candidates(folder_lake, "run", before=DEDUPLICATE)) == beam
    assert names(read_candidates(folder_lake, "run", before=DECONTAMINATE)) == [("p", 0), ("q", 0)]
    assert names(read_candidates(folder_lake, "run")) == [("p", 0)]
    assert names(read_drops(folder_lake, "run").to_batches()) == [("p", 1), ("r", 0), ("q", 0)]


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.text("01 p\n", max_size=3), st.integers(0, 11)), unique=True, max_size=9),
    st.data(),
)
def test_what_is_dropped_is_left_out_and_nothing_else(
    rows: list[Name], data: st.DataObject
) -> None:
    gone = [name for name in rows if data.draw(st.booleans())]
    with TemporaryDirectory() as folder:
        lake = open_lake(folder, create=True)
        write_candidates(lake, "run", [candidates(rows)])
        for stage in STAGES:
            own = [name for name in gone if data.draw(st.booleans())]
            write_drops(lake, "run", stage, dropped(own, stage))
        write_drops(lake, "run", DECONTAMINATE, dropped(gone, DECONTAMINATE))
        assert names(read_candidates(lake, "run")) == [name for name in rows if name not in gone]


def test_a_second_try_writes_over_what_the_first_has_left(folder_lake: Lake) -> None:
    write_candidates(folder_lake, "run", many(PART_ROWS + 1, 5_000))
    write_drops(folder_lake, "run", DEDUPLICATE, dropped([("q", 0)]))
    assert len(parts(folder_lake)) == 2
    assert write_candidates(folder_lake, "run", [candidates([("q", 0)])]) == 1
    write_drops(folder_lake, "run", DEDUPLICATE, dropped([]))
    assert parts(folder_lake) == ["00000.parquet"]
    assert names(read_candidates(folder_lake, "run")) == [("q", 0)]


def test_no_candidate_is_a_result_too(folder_lake: Lake) -> None:
    write_candidates(folder_lake, "run", many(PART_ROWS + 1, 5_000))
    assert write_candidates(folder_lake, "run", [candidates([])]) == 0
    assert parts(folder_lake) == ["00000.parquet"]
    assert list(read_candidates(folder_lake, "run")) == []


def test_candidates_that_are_not_there_are_named(folder_lake: Lake) -> None:
    with pytest.raises(LakeError, match=r"runs/run/records/ is missing .* resume run run"):
        next(read_candidates(folder_lake, "run"))
    write_candidates(folder_lake, "run", many(PART_ROWS + 1, 5_000))
    batches = read_candidates(folder_lake, "run", ["rank"])
    next(batches)
    folder_lake.store.delete(["runs/run/records/00001.parquet"])
    with pytest.raises(LakeError, match=r"records/00001.parquet is gone .* resume run run"):
        list(batches)


def test_a_run_that_set_nothing_aside_and_dropped_nothing_has_empty_tables(
    folder_lake: Lake,
) -> None:
    assert read_drops(folder_lake, "run").equals(DROPPED.empty_table())
    assert read_aside(folder_lake, "run").equals(ASIDE.empty_table())
    row: dict[str, Any] = dict.fromkeys(ASIDE.names, "x")
    aside = pa.Table.from_pylist([row], schema=ASIDE)
    write_drops(folder_lake, "run", SELECT, dropped([]), aside)
    assert read_aside(folder_lake, "run").equals(aside)
