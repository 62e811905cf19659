"""Very many shards: batches of them as the task runs of a flow (`tasks.batch`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from queue import Empty, SimpleQueue
from typing import Any

from prefect import Task, unmapped
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner

from cord.errors import CordError
from cord.lake import open_lake
from cord.lake.runs.shard_notes import shard_notes
from cord.recipe import Recipe
from cord.scheduler import Stopped
from flows.runners import is_remote
from tasks.batch import carry_out_batch, in_batches
from tasks.board import BOARD
from tasks.events import shards_failed
from tasks.shards import SHARDS

LOOK_EVERY_S = 2.0


def carry_out_batches(
    lake: str,
    run_id: str,
    shards: list[int],
    together: int,
    recipe: Recipe,
    runner: TaskRunner[Any],
    show: Callable[[float], None],
) -> list[dict[str, Any]]:
    """Decode and verify all shards, batches of so many `together`; returns what each came to.

    `show` hears the share that is done, every 2 s. Raises as `raise_failures` when shards failed;
    the others are done all the same."""
    carry_out: Task[..., Any] = carry_out_batch.with_options(retries=recipe.run.retries)
    batches = in_batches(shards, together)
    every = {"lake_uri": unmapped(lake), "run_id": unmapped(run_id), "shards": batches}
    of_future = dict(zip(runner.map(carry_out, every), batches, strict=True))
    ended: SimpleQueue[PrefectFuture[Any]] = SimpleQueue()
    done: dict[PrefectFuture[Any], Any] = {}
    failed: dict[int, BaseException] = {}
    try:
        for future in of_future:
            future.add_done_callback(ended.put)
        for count in range(len(batches)):
            future = _next(ended, show, count / len(batches))
            future.wait()  # or its state is asked of Prefect's server, which may be away
            if future.state.is_completed():
                done[future] = future.result()
                if is_remote(recipe):
                    BOARD.shard_done(done[future])
                    SHARDS.ended("verify", *of_future[future])
            else:
                error = future.state.result(raise_on_failure=False)
                known = isinstance(error, BaseException)
                failed[of_future[future][0]] = error if known else RuntimeError(str(error))
        show(1.0)
    except BaseException:  # SIGTERM, say: Prefect would wait until every shard is decoded
        BOARD.stop.set()
        raise
    if failed:
        by_shard = _by_shard(lake, run_id, batches, failed)
        for shard, error in by_shard.items():
            SHARDS.failed(shard, told(error))
        raise_failures(run_id, recipe.name, len(shards), by_shard)
    return [done[future] for future in of_future]


def raise_failures(
    run_id: str, data_set: str, shards: int, failed: Mapping[int, BaseException]
) -> None:
    """Tell of the failed ones of so many shards, if there are any, and raise what they come to:
    `Stopped` where one was stopped, else `CordError`."""
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


def told(error: BaseException) -> str:
    """An error in a sentence."""
    return f"{error}" if isinstance(error, CordError) else repr(error)


def _next(
    ended: SimpleQueue[PrefectFuture[Any]], show: Callable[[float], None], done: float
) -> PrefectFuture[Any]:
    """The next one to end, with a look at the progress before and while it is waited for."""
    while True:
        show(max(BOARD.share_done, done))
        try:
            return ended.get(timeout=LOOK_EVERY_S)
        except Empty:
            continue


def _by_shard(
    lake: str, run_id: str, batches: Iterable[list[int]], failed: Mapping[int, BaseException]
) -> dict[int, BaseException]:
    """Which shards of the failed batches (by their first shard) failed, as the lake has it noted;
    a batch that left no note, by its first shard."""
    notes = shard_notes(open_lake(lake), run_id)
    found: dict[int, BaseException] = {}
    for batch in batches:
        if (error := failed.get(batch[0])) is not None:
            noted = [shard for shard in batch if shard in notes]
            for shard in noted or batch[:1]:
                sentence = notes[shard].error if shard in notes else None
                plain = sentence is None or isinstance(error, Stopped)
                found[shard] = error if plain else CordError(str(sentence))
    return found
