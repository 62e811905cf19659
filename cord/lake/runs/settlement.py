"""What became of every problem of a run, once all stages have dropped what they drop.

problems = records + wrong + quarantined: a problem whose last record was dropped is quarantined,
with the reason; each dropped record stands in `dropped` with its evidence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from cord.lake.runs.candidates import (
    ASIDE,
    DECONTAMINATE,
    DEDUPLICATE,
    SELECT,
    read_aside,
    read_candidates,
    read_drops,
)
from cord.lake.runs.run import require_run
from cord.lake.runs.run_tables import set_aside
from cord.lake.tables.schemas import QUARANTINE

if TYPE_CHECKING:
    from cord.lake import Lake

_CONTENT_CHARACTERS = 10_000


def settle(lake: Lake, run_id: str, selected: Mapping[str, int]) -> dict[str, int]:
    """Commit what was set aside and dropped, and count; `selected` has the selection's counts.

    Returns {problems, records, wrong, quarantined, correct, rows, duplicates, contaminated}, and
    `below_path` where the selection has it: problems with a record, wrong ones and those set aside
    add up to the problems read; `rows` counts the records themselves, `duplicates` and
    `contaminated` the records dropped. They are kept with the run."""
    dropped = read_drops(lake, run_id)
    had, _ = _problems(read_candidates(lake, run_id, ("problem_id",), before=DEDUPLICATE))
    has, rows = _problems(read_candidates(lake, run_id, ("problem_id",)))
    lost = had.filter(pc.invert(pc.is_in(had, value_set=has)))
    aside = pa.concat_tables([read_aside(lake, run_id), _lost(lake, run_id, lost, dropped)])
    quarantined = aside.add_column(0, "run_id", pa.array([run_id] * aside.num_rows, pa.string()))
    # The id is that of older cords, so that a run which one of them has begun is not counted twice.
    lake.tables.append_once("quarantine", quarantined.cast(QUARANTINE), f"{run_id}/{DEDUPLICATE}")
    if dropped.num_rows:
        lake.tables.append_once("dropped", dropped, f"{run_id}/{SELECT}")
    counts = {
        # Counted when the source was read, so that the accounting can fail.
        "problems": require_run(lake, run_id).problems or 0,
        "records": len(has),
        "wrong": selected["wrong"],
        "quarantined": set_aside(lake, run_id),
        "correct": selected["correct"],
        "rows": rows,
        "duplicates": _records_in(dropped, DEDUPLICATE),
        "contaminated": _records_in(dropped, DECONTAMINATE),
    }
    if "below_path" in selected:
        counts["below_path"] = selected["below_path"]
    lake.store.write(f"runs/{run_id}/counts.json", json.dumps(counts).encode())
    return counts


def _lost(lake: Lake, run_id: str, lost: pa.Array[Any], dropped: pa.Table) -> pa.Table:
    """Rows of `ASIDE`: each problem by its question, and why its best record went."""
    if not len(lost):
        return ASIDE.empty_table()
    why = dropped.filter(pc.is_in(dropped["problem_id"], value_set=lost)).sort_by(
        [("problem_id", "ascending"), ("rank", "ascending"), ("stage", "descending")]
    )
    first = why.group_by("problem_id", use_threads=False).aggregate(
        [("stage", "first"), ("reason", "first")]
    )
    known = [
        batch.filter(pc.is_in(batch["problem_id"], value_set=lost))
        for batch in read_candidates(lake, run_id, ("problem_id", "question"), before=DEDUPLICATE)
    ]
    texts = (
        pa.Table.from_batches(known)
        .group_by("problem_id", use_threads=False)
        .aggregate([("question", "first")])
    )
    joined = first.join(texts, "problem_id").sort_by("problem_id")
    content = pc.utf8_slice_codeunits(joined["question_first"], 0, _CONTENT_CHARACTERS)
    columns: dict[str, Any] = {
        "stage": joined["stage_first"],
        "problem_id": joined["problem_id"],
        "source": pa.array([""] * joined.num_rows, pa.string()),
        "reason": joined["reason_first"],
        "content": content,
    }
    return pa.table(columns, schema=ASIDE)


def _problems(batches: Iterable[pa.RecordBatch]) -> tuple[pa.Array[Any], int]:
    """Whose records these are, and how many records."""
    rows = 0
    found: list[pa.Array[Any]] = [pa.array([], pa.string())]
    for batch in batches:
        rows += batch.num_rows
        found.append(batch["problem_id"].unique())
    ids: Any = pa.chunked_array(found).unique()
    return ids, rows


def _records_in(dropped: pa.Table, stage: str) -> int:
    own = dropped.filter(pc.equal(dropped["stage"], pa.scalar(stage)))
    return own.group_by(["problem_id", "rank"]).aggregate([]).num_rows
