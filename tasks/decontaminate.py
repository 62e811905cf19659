"""Drop the candidates that share words in a row with an evaluation set, and settle the accounts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from prefect import task

from cord.decontamination.overlaps import find_overlaps
from cord.decontamination.sets import checked_against, read_sets
from cord.lake import Lake, open_lake
from cord.lake.runs.candidates import DECONTAMINATE, read_candidates, write_drops
from cord.lake.runs.run import load_recipe_of
from cord.lake.runs.settlement import settle
from cord.lake.tables.schemas import DROPPED
from tasks import artifacts
from tasks.board import BOARD
from tasks.policy import OPTIONS


@task(name="decontaminate", task_run_name="decontaminate {run_id}", **OPTIONS)
def decontaminate(lake_uri: str, run_id: str, selected: Mapping[str, int]) -> dict[str, int]:
    """Write what is dropped as contaminated, with the matching text; then count what became of
    every problem. `selected` is what `select_records` returned.

    Returns `cord.lake.runs.settlement.settle`'s counts."""
    BOARD.enter("decontamination")
    lake = open_lake(lake_uri)
    recipe, folder = load_recipe_of(lake, run_id)
    settings = recipe.decontaminate
    sets = read_sets(settings.against, Path(folder))
    overlaps = find_overlaps(_texts(lake, run_id), sets, settings.words, settings.within)
    dropped = _dropped(run_id, overlaps)
    write_drops(lake, run_id, DECONTAMINATE, dropped)
    said = {
        "words": settings.words,
        "within": list(settings.within),
        "sets": checked_against(sets, settings.words),
        "dropped": pc.count_distinct(_names(dropped)).as_py(),
    }
    checked = json.dumps(said, indent=2, ensure_ascii=False)
    lake.store.write(_checked_key(run_id), checked.encode())
    counts = settle(lake, run_id, selected)
    artifacts.table(run_id, "records", [dict(counts)], "What became of every problem")
    return counts


def load_checked(lake: Lake, run_id: str) -> dict[str, Any]:
    """What a run's records were checked against: {words, within, sets, dropped}."""
    content = lake.store.read(_checked_key(run_id))
    return {} if content is None else dict(json.loads(content))


def _checked_key(run_id: str) -> str:
    return f"runs/{run_id}/checked_against.json"


def _texts(lake: Lake, run_id: str) -> Iterator[pa.RecordBatch]:
    columns = ("problem_id", "rank", "question", "messages")
    for batch in read_candidates(lake, run_id, columns, before=DECONTAMINATE):
        text = pc.struct_field(pc.list_element(batch["messages"], 1), "content")
        yield batch.drop_columns(["messages"]).append_column("text", text)


def _names(dropped: pa.Table) -> Any:
    rank: Any = dropped["rank"].cast(pa.string())
    return pc.binary_join_element_wise(rank, dropped["problem_id"], " ")


def _dropped(run_id: str, overlaps: pa.Table) -> pa.Table:
    count = overlaps.num_rows
    reasons = [
        f"{row['words']} words in a row of the {row['where']} stand in {row['set']}, "
        f"item {row['item']}"
        for row in overlaps.select(["words", "where", "set", "item"]).to_pylist()
    ]
    columns: dict[str, Any] = {
        "run_id": pa.array([run_id] * count, pa.string()),
        "stage": pa.array([DECONTAMINATE] * count, pa.string()),
        "problem_id": overlaps["problem_id"],
        "rank": overlaps["rank"],
        "kind": pa.array(["overlap"] * count, pa.string()),
        "of": overlaps["item"],
        "source": overlaps["set"],
        "similarity": pa.nulls(count, pa.float64()),
        "words": overlaps["words"],
        "matched": overlaps["matched"],
        "reason": pa.array(reasons, pa.string()),
    }
    return pa.table(columns, schema=DROPPED)
