"""All shards of a run, decoded and verified: one by one, or very many small ones in batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import Task, unmapped
from prefect.task_runners import TaskRunner

from cord.errors import CordError
from cord.recipe import Recipe
from cord.scheduler import Stopped
from flows.batches import batch_by_batch
from flows.runners import is_remote
from flows.shard_work import Outcome, ShardWork, told
from flows.task_runs import TaskRuns, error_of
from tasks import artifacts
from tasks.batch import shards_together
from tasks.board import BOARD
from tasks.decode import decode_shard
from tasks.events import shards_failed
from tasks.live import Live
from tasks.shards import SHARDS
from tasks.verify import verify_shard


def decode_and_verify(
    lake: str, run_id: str, plan: dict[str, Any], recipe: Recipe, runner: TaskRunner[Any]
) -> None:
    """Decode all shards that are missing and verify them; wait, showing progress.

    Raises `Stopped` where the run was stopped, `CordError` where shards failed; the others are done
    all the same."""
    shards: list[int] = plan["shards"]
    BOARD.begin(plan["to_decode"])
    BOARD.enter("decoding")
    SHARDS.begin(plan["planned"], shards)
    live = Live(run_id, BOARD, SHARDS)
    work = ShardWork(lake, run_id, shards, recipe, runner, live.show)
    together = shards_together(len(shards), plan["to_decode"])
    try:
        outcome = batch_by_batch(work, together) if together > 1 else one_by_one(work)
        live.show(1.0, is_last=True)
    except BaseException:  # SIGTERM, say: Prefect would wait until every shard is decoded
        BOARD.stop.set()
        raise
    _raise_failures(run_id, recipe.name, len(shards), outcome.failed)
    for key, about, rows in outcome.tables:
        if rows:
            artifacts.table(run_id, key, rows, about)


def one_by_one(work: ShardWork) -> Outcome:
    """Two task runs a shard; it is verified as soon as it is decoded."""
    decode: Task[..., Any] = decode_shard.with_options(retries=work.recipe.run.retries)
    verify: Task[..., Any] = verify_shard.with_options(retries=work.recipe.run.retries)
    done: dict[str, dict[int, dict[str, Any]]] = {"decode": {}, "verify": {}}
    failed: dict[int, BaseException] = {}
    task_runs: TaskRuns[tuple[str, int]] = TaskRuns(
        lambda: work.show(len(done["verify"]) / max(1, len(work.shards)))
    )
    every = {"lake_uri": unmapped(work.lake), "run_id": unmapped(work.run_id), "shard": work.shards}
    for future, shard in zip(work.runner.map(decode, every), work.shards, strict=True):
        task_runs.add(future, ("decode", shard))
    for future, (stage, shard) in task_runs:
        task_run = str(getattr(future, "task_run_id", ""))
        if (error := error_of(future)) is not None:
            failed[shard] = error
            SHARDS.failed(shard, told(error), task_run=task_run)
            continue
        SHARDS.ended(stage, shard, task_run=task_run)
        done[stage][shard] = future.result()
        if stage == "decode":
            if is_remote(work.recipe):
                BOARD.shard_done(future.result())
            # Its result, not the future: of one that is given on, Prefect's server is asked.
            one = {"lake_uri": work.lake, "run_id": work.run_id, "decoded": future.result()}
            task_runs.add(work.runner.submit(verify, one), ("verify", shard))
    about = {"decode": "What each shard decoded", "verify": "New verdicts of each shard"}
    tables = [
        (stage, about[stage], [rows[shard] for shard in work.shards if shard in rows])
        for stage, rows in done.items()
    ]
    return Outcome(tables, failed)


def _raise_failures(
    run_id: str, data_set: str, shards: int, failed: Mapping[int, BaseException]
) -> None:
    """Tell of the failed ones of so many shards, if there are any, and raise what they come to."""
    if not failed:
        return
    for error in failed.values():
        if isinstance(error, Stopped):
            raise error
    shards_failed(run_id, data_set, failed)
    sentences = {told(error) for error in failed.values()}
    raise CordError(
        f"{len(failed)} of {shards} shards failed "
        f"({', '.join(str(shard) for shard in sorted(failed)[:10])}): "
        + "; ".join(sorted(sentences)[:3])
    )
