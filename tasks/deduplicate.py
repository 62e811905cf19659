"""Choose the trajectories that become records, and set duplicates aside."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task

from cord.deduplication import find_duplicates
from cord.lake import Lake, open_lake
from cord.lake.runs.run import load_recipe_of, require_run
from cord.lake.runs.run_tables import judged, set_aside, trajectories_of, verdicts_of
from cord.lake.tables.rows import quarantine_rows
from cord.lake.tables.schemas import SCHEMAS
from cord.plan import verdict_key
from cord.records import Judged, choose, record_rows
from cord.types import Quarantined
from tasks import artifacts
from tasks.board import BOARD
from tasks.policy import OPTIONS

CANDIDATE_SCHEMA = SCHEMAS["records"].append(pa.field("outcome", pa.string()))
"""Records on their way to the contract, with the verdict it looks at."""


def candidates_key(run_id: str) -> str:
    """Where a run keeps the records that ask to be published."""
    return f"runs/{run_id}/records.parquet"


@task(name="deduplicate", task_run_name="deduplicate {run_id}", **OPTIONS)
def deduplicate(lake_uri: str, run_id: str) -> dict[str, int]:
    """Write the run's candidate records and count what became of every problem.

    Returns {problems, records, wrong, quarantined, correct, rows}: problems with a record, wrong
    ones and those set aside add up to the problems read; `rows` counts the records themselves,
    more than one a problem with `keep: all`. With `publish.path`, `below_path` counts the correct
    trajectories that it keeps out."""
    BOARD.enter("deduplication")
    lake = open_lake(lake_uri)
    recipe, _ = load_recipe_of(lake, run_id)
    trajectories = trajectories_of(lake, run_id)
    verdicts = verdicts_of(lake, {verdict_key(recipe, t["key"]) for t in trajectories})
    beams = [judged(t, verdicts[verdict_key(recipe, t["key"]), t["rank"]]) for t in trajectories]
    chosen = choose(beams, recipe.publish.keep, recipe.publish.path)
    unique, duplicates = _without_duplicates(chosen.records, recipe.deduplicate.near)
    lake.tables.append_once(
        "quarantine",
        pa.Table.from_pylist(
            quarantine_rows(run_id, [*chosen.undecided, *duplicates]), schema=SCHEMAS["quarantine"]
        ),
        f"{run_id}/deduplicate",
    )
    table = pa.Table.from_pylist(record_rows(unique), schema=CANDIDATE_SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    lake.store.write(candidates_key(run_id), sink.getvalue().to_pybytes())
    counts = _counts(lake, run_id, beams, unique, len(chosen.wrong))
    if recipe.publish.path is not None:
        counts["below_path"] = len(chosen.below)
    lake.store.write(f"runs/{run_id}/counts.json", json.dumps(counts).encode())
    artifacts.table(run_id, "records", [dict(counts)], "What became of every problem")
    return counts


def _without_duplicates(
    records: tuple[Judged, ...], near: float | None
) -> tuple[list[Judged], list[Quarantined]]:
    """Drop the records of problems whose question another problem asks too."""
    best: dict[str, Judged] = {}
    for record in records:
        known = best.setdefault(record.problem_id, record)
        if (-record.score, record.tokens) < (-known.score, known.tokens):
            best[record.problem_id] = record
    found = find_duplicates(
        [(r.problem_id, r.question, (-r.score, r.tokens)) for r in best.values()], near
    )
    dropped = [
        Quarantined(
            "deduplicate",
            f"{duplicate.kind} duplicate of problem {duplicate.of} "
            f"(similarity {duplicate.similarity:.2f})",
            problem_id,
            content=best[problem_id].question[:10_000],
        )
        for problem_id, duplicate in sorted(found.items())
    ]
    return [r for r in records if r.problem_id not in found], dropped


def _counts(
    lake: Lake, run_id: str, beams: list[Judged], records: list[Judged], wrong: int
) -> dict[str, int]:
    return {
        # Counted when the source was read, so that the accounting below can fail.
        "problems": require_run(lake, run_id).problems or 0,
        "records": len({record.problem_id for record in records}),
        "wrong": wrong,
        "quarantined": set_aside(lake, run_id),
        "correct": sum(1 for t in beams if t.rank == 0 and t.outcome == "correct"),
        "rows": len(records),
    }
