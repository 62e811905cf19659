"""Drop the candidates that say what another one, or an earlier release, says too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from prefect import task

from cord.deduplication.questions import duplicate_questions
from cord.deduplication.trajectories import duplicate_trajectories
from cord.lake import Lake, open_lake
from cord.lake.releases.release import find_release
from cord.lake.runs.candidates import DEDUPLICATE, read_candidates, write_drops
from cord.lake.runs.run import load_recipe_of
from cord.lake.tables.query import SORTED_WORK, stream
from cord.lake.tables.schemas import DROPPED
from cord.recipe import DeduplicateSettings
from cord.record_batches import with_text
from tasks import artifacts
from tasks.board import BOARD
from tasks.policy import OPTIONS

Column: TypeAlias = "pa.ChunkedArray[Any] | pa.Array[Any]"
_OF_QUESTIONS = ("problem_id", "question", "score", "tokens")
_OF_TEXTS = ("problem_id", "rank", "messages", "score", "tokens")


@task(name="deduplicate", task_run_name="deduplicate {run_id}", **OPTIONS)
def deduplicate(lake_uri: str, run_id: str) -> dict[str, int]:
    """Write what is dropped as a duplicate, with what it duplicates.

    Returns {"problems", "trajectories"}: how many problems another one asks, and how many further
    trajectories of a problem say what a better one says."""
    BOARD.enter("deduplication")
    lake = open_lake(lake_uri)
    recipe, _ = load_recipe_of(lake, run_id)
    asked = _asked_again(lake, run_id, recipe.deduplicate)
    several = recipe.publish.keep == "all"
    told = _told_again(lake, run_id, recipe.deduplicate.trajectories) if several else []
    dropped = pa.concat_tables([DROPPED.empty_table(), *asked, *told])
    write_drops(lake, run_id, DEDUPLICATE, dropped)
    problems = pc.count_distinct(
        pa.concat_tables([DROPPED.empty_table(), *asked])["problem_id"]
    ).as_py()
    counts = {"problems": problems, "trajectories": sum(table.num_rows for table in told)}
    artifacts.table(run_id, "duplicates", [dict(counts)], "What is said elsewhere too")
    return counts


def _asked_again(lake: Lake, run_id: str, settings: DeduplicateSettings) -> list[pa.Table]:
    """Every record of a problem that another one asks."""

    def rows() -> Iterable[pa.RecordBatch]:
        return read_candidates(lake, run_id, _OF_QUESTIONS, before=DEDUPLICATE)

    earlier = [
        (label, _questions_of(lake, label))
        for label in (find_release(lake, name).label for name in settings.against)
    ]
    found = duplicate_questions(rows, settings.near, earlier)
    if not found.num_rows:
        return []
    dropped = []
    for batch in read_candidates(lake, run_id, ("problem_id", "rank"), before=DEDUPLICATE):
        place = pc.index_in(batch["problem_id"], value_set=found["problem_id"].combine_chunks())
        own = batch.append_column("place", place).filter(pc.is_valid(place))
        of = found.take(own["place"])
        reason = _sentences(of["kind"], "problem", of["of"], of["similarity"], of["release"])
        dropped.append(
            _dropped(run_id, own, of["kind"], of["of"], of["release"], of["similarity"], reason)
        )
    return dropped


def _told_again(lake: Lake, run_id: str, near: float | None) -> list[pa.Table]:
    rows = with_text(read_candidates(lake, run_id, _OF_TEXTS, before=DEDUPLICATE))
    found = duplicate_trajectories(rows, near)
    of = found["of"].cast(pa.string())
    here = pa.array([""] * found.num_rows, pa.string())
    reason = _sentences(found["kind"], "rank", of, found["similarity"], here)
    return [_dropped(run_id, found, found["kind"], of, here, found["similarity"], reason)]


def _questions_of(lake: Lake, label: str) -> Callable[[], Iterator[pa.RecordBatch]]:
    def rows() -> Iterator[pa.RecordBatch]:
        sql = "select problem_id, question from records"
        # On one thread: the rows are read twice, and come in the same order.
        with stream(lake, sql, release=label, limits=SORTED_WORK) as batches:
            yield from batches

    return rows


def _sentences(
    kind: Column,
    what: str,
    of: Column,
    similarity: Column,
    release: Column,
) -> Column:
    """`near duplicate of problem p7 (similarity 0.83)`."""
    return pa.array(
        [
            f"{k} duplicate of {what} {o}{f' in {r}' if r else ''} (similarity {s:.2f})"
            for k, o, s, r in zip(
                *(c.to_pylist() for c in (kind, of, similarity, release)), strict=True
            )
        ],
        pa.string(),
    )


def _dropped(
    run_id: str,
    rows: pa.RecordBatch | pa.Table,
    kind: Column,
    of: Column,
    source: Column,
    similarity: Column,
    reason: Column,
) -> pa.Table:
    count = rows.num_rows
    columns: dict[str, Any] = {
        "run_id": pa.array([run_id] * count, pa.string()),
        "stage": pa.array([DEDUPLICATE] * count, pa.string()),
        "problem_id": rows["problem_id"],
        "rank": rows["rank"],
        "kind": kind,
        "of": of,
        "source": source,
        "similarity": similarity,
        "words": pa.nulls(count, pa.int32()),
        "matched": pa.nulls(count, pa.string()),
        "reason": reason,
    }
    return pa.table(columns, schema=DROPPED)
