"""Drop the candidates that share words in a row with an evaluation set, and settle the accounts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from prefect import task

from cord.decontamination.overlaps import find_overlaps
from cord.decontamination.sets import checked_against, read_sets
from cord.lake import Lake, open_lake
from cord.lake.runs.candidates import DECONTAMINATE, read_candidates, write_drops
from cord.lake.runs.run import load_recipe_of
from cord.lake.runs.settlement import settle
from cord.lake.tables.schemas import DROPPED
from cord.record_batches import with_text
from tasks import artifacts
from tasks.board import BOARD
from tasks.policy import OPTIONS

_READ = ("problem_id", "rank", "question", "messages")


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
    records = with_text(read_candidates(lake, run_id, _READ, before=DECONTAMINATE))
    overlaps = find_overlaps(records, sets, settings.words, settings.within)
    write_drops(lake, run_id, DECONTAMINATE, _dropped(run_id, overlaps))
    counts = settle(lake, run_id, selected)
    said = {
        "words": settings.words,
        "within": list(settings.within),
        "sets": checked_against(sets, settings.words),
        "dropped": counts["contaminated"],
    }
    checked = json.dumps(said, indent=2, ensure_ascii=False)
    lake.store.write(_checked_key(run_id), checked.encode())
    artifacts.table(run_id, "records", [dict(counts)], "What became of every problem")
    return counts


def load_checked(lake: Lake, run_id: str) -> dict[str, Any]:
    """What a run's records were checked against: {words, within, sets, dropped}."""
    content = lake.store.read(_checked_key(run_id))
    return {} if content is None else dict(json.loads(content))


def _checked_key(run_id: str) -> str:
    return f"runs/{run_id}/checked_against.json"


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
