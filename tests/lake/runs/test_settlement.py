"""Every problem of a run ends as records, as wrong or in quarantine, whatever the stages drop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.lake import Lake, open_lake
from cord.lake.runs.candidates import (
    ASIDE,
    CANDIDATES,
    DECONTAMINATE,
    DEDUPLICATE,
    SELECT,
    write_candidates,
    write_drops,
)
from cord.lake.runs.run import RunDocument, now, save_run
from cord.lake.runs.settlement import settle
from cord.lake.tables.query import query
from cord.lake.tables.schemas import DROPPED, QUARANTINE

Drops = frozenset[str]


@dataclass(frozen=True)
class Made:
    """A run behind its last stage: the drops of each record of each problem, and the others."""

    records: Sequence[Sequence[Drops]]
    wrong: int = 0
    aside: int = 0
    unread: int = 0
    """Rows that could not be read, which are in quarantine already."""

    @property
    def problems(self) -> int:
        return len(self.records) + self.wrong + self.aside + self.unread

    @property
    def selected(self) -> dict[str, int]:
        return {"wrong": self.wrong, "correct": len(self.records)}

    def rows(self, stage: str | None = None) -> list[dict[str, Any]]:
        """The candidates; with a stage, those that it drops."""
        return [
            {"problem_id": f"p{n}", "rank": rank, "question": f"What is {n}?", "run_id": "run"}
            for n, beam in enumerate(self.records)
            for rank, drops in enumerate(beam)
            if stage is None or stage in drops
        ]


def settled(lake: Lake, made: Made) -> dict[str, int]:
    run = RunDocument(
        run_id="run", recipe="r", fingerprint="f", search="s", created_at=now(), shards=1,
        problems=made.problems,
    )  # fmt: skip
    save_run(lake, run)
    unread = [{"run_id": "run", "stage": "read", "reason": "torn"}] * made.unread
    if unread:
        torn = pa.Table.from_pylist(unread, schema=QUARANTINE)
        lake.tables.append_once("quarantine", torn, "run/intake")
    batch = pa.RecordBatch.from_pylist(made.rows(), schema=CANDIDATES)
    write_candidates(lake, "run", [batch])
    aside = [{"stage": "verify", "problem_id": f"a{n}"} for n in range(made.aside)]
    asides = pa.Table.from_pylist(aside, schema=ASIDE)
    write_drops(lake, "run", SELECT, DROPPED.empty_table(), asides)
    for stage in (DEDUPLICATE, DECONTAMINATE):
        rows = [
            {**row, "stage": stage, "reason": f"{stage} of rank {row['rank']}"}
            for row in made.rows(stage)
        ]
        dropped = [{name: row.get(name) for name in DROPPED.names} for row in rows]
        write_drops(lake, "run", stage, pa.Table.from_pylist(dropped, schema=DROPPED))
    return settle(lake, "run", made.selected)


DROP = st.frozensets(st.sampled_from((DEDUPLICATE, DECONTAMINATE)))
FEW = st.integers(0, 2)


@settings(max_examples=8)
@given(
    st.builds(
        Made, st.lists(st.lists(DROP, min_size=1, max_size=3), max_size=4), FEW, FEW, FEW
    )
)  # fmt: skip
def test_problems_are_records_and_wrong_ones_and_those_in_quarantine(made: Made) -> None:
    with TemporaryDirectory() as folder:
        lake = open_lake(folder, create=True)
        counts = settled(lake, made)
        assert settle(lake, "run", made.selected) == counts  # a second try changes nothing
        assert lake.store.read("runs/run/counts.json") == json.dumps(counts).encode()
        quarantine = query(lake, "select problem_id, stage from quarantine").to_pylist()
        evidence = query(lake, "select count(*) as n from dropped")["n"][0].as_py()
    assert counts["problems"] == counts["records"] + counts["wrong"] + counts["quarantined"]
    beams = [drops for beam in made.records for drops in beam]
    assert counts["records"] == sum(not all(beam) for beam in made.records)
    assert counts["rows"] == beams.count(frozenset())
    assert counts["duplicates"] == sum(DEDUPLICATE in drops for drops in beams)
    assert counts["contaminated"] == sum(DECONTAMINATE in drops for drops in beams)
    assert counts["quarantined"] == len(quarantine)
    assert evidence == sum(len(drops) for drops in beams)
    lost = {row["problem_id"] for row in quarantine if row["stage"] in (DEDUPLICATE, DECONTAMINATE)}
    assert lost == {f"p{n}" for n, beam in enumerate(made.records) if all(beam)}


def test_a_problem_that_lost_its_records_says_why_its_best_one_went(folder_lake: Lake) -> None:
    duplicate, overlap = frozenset({DEDUPLICATE}), frozenset({DECONTAMINATE})
    settled(folder_lake, Made([[overlap, duplicate], [duplicate | overlap], [frozenset()]]))
    found = query(folder_lake, "select * from quarantine order by problem_id").to_pylist()
    assert [(row["problem_id"], row["stage"], row["reason"]) for row in found] == [
        ("p0", DECONTAMINATE, "decontaminate of rank 0"),
        ("p1", DEDUPLICATE, "deduplicate of rank 0"),
    ]
    assert [row["content"] for row in found] == ["What is 0?", "What is 1?"]
    assert {row["run_id"] for row in found} == {"run"}


@pytest.mark.parametrize("selected", [{}, {"below_path": 3}])
def test_what_the_path_bound_keeps_out_is_counted_where_there_is_one(
    folder_lake: Lake, selected: dict[str, int]
) -> None:
    settled(folder_lake, Made([[frozenset()]]))
    counts = settle(folder_lake, "run", {"wrong": 0, "correct": 1, **selected})
    assert {name: n for name, n in counts.items() if name == "below_path"} == selected
