"""Very many shards: batches of them as the task runs of a flow (`tasks.batch`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import Task, unmapped

from cord.errors import CordError
from cord.lake import open_lake
from cord.lake.runs.shard_notes import shard_notes
from cord.scheduler import Stopped
from flows.runners import is_remote
from flows.shard_work import Outcome, ShardWork, told
from flows.task_runs import TaskRuns, error_of
from tasks.batch import carry_out_batch, in_batches
from tasks.board import BOARD
from tasks.shards import SHARDS


def batch_by_batch(work: ShardWork, together: int) -> Outcome:
    """Decode and verify all shards, so many `together` in a task run."""
    carry_out: Task[..., Any] = carry_out_batch.with_options(retries=work.recipe.run.retries)
    batches = in_batches(work.shards, together)
    done: dict[int, dict[str, Any]] = {}
    errors: list[tuple[list[int], BaseException]] = []
    task_runs: TaskRuns[list[int]] = TaskRuns(
        lambda: work.show((len(done) + len(errors)) / max(1, len(batches)))
    )
    every = {"lake_uri": unmapped(work.lake), "run_id": unmapped(work.run_id), "shards": batches}
    for future, batch in zip(work.runner.map(carry_out, every), batches, strict=True):
        task_runs.add(future, batch)
    for future, batch in task_runs:
        if (error := error_of(future)) is not None:
            errors.append((batch, error))
            continue
        done[batch[0]] = future.result()
        if is_remote(work.recipe):
            BOARD.shard_done(future.result())
            SHARDS.ended("verify", *batch)
    failed = _by_shard(work.lake, work.run_id, errors)
    for shard, error in failed.items():
        SHARDS.failed(shard, told(error))
    rows = [done[batch[0]] for batch in batches if batch[0] in done]
    return Outcome([("batches", "What each batch of shards came to", rows)], failed)


def _by_shard(
    lake: str, run_id: str, errors: Sequence[tuple[list[int], BaseException]]
) -> dict[int, BaseException]:
    """Which shards of the failed batches failed, as the lake has it noted; of a batch that left no
    note, its first shard."""
    notes = shard_notes(open_lake(lake), run_id) if errors else {}
    found: dict[int, BaseException] = {}
    for batch, error in errors:
        for shard in [shard for shard in batch if shard in notes] or batch[:1]:
            sentence = notes[shard].error if shard in notes else None
            plain = sentence is None or isinstance(error, Stopped)
            found[shard] = error if plain else CordError(str(sentence))
    return found
