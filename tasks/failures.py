"""A shard's task that fails says why, in the lake: `cord status` has it from there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import wraps
from typing import ParamSpec, TypeVar

from prefect.context import TaskRunContext

from cord.errors import CordError, LakeError
from cord.lake import open_lake
from cord.lake.runs.shard_notes import ShardNote, Stage, clear_note, leave_note
from cord.scheduler import Stopped
from tasks.policy import is_passing
from tasks.shards import SHARDS

P = ParamSpec("P")
R = TypeVar("R")


def noting_failures(stage: Stage) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Of a task of one shard, under `@task`: a try that fails leaves a note, success clears it.

    The task takes `lake_uri`, `run_id` and `shard`, or `decoded`, a dictionary that has it."""

    def around(body: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(body)

        @wraps(body)
        def noted(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs).arguments
            shard = int(given["shard"] if "shard" in given else given["decoded"]["shard"])
            context = TaskRunContext.get()
            if context is not None:
                SHARDS.tried(stage, shard, context.task_run.run_count, str(context.task_run.id))
            try:
                result = body(*args, **kwargs)
            except Stopped:
                raise
            except Exception as error:
                note = note_of(stage, shard, error)
                SHARDS.failed(shard, note.sentence, note.will_retry)
                with suppress(LakeError):  # the error itself is what counts
                    leave_note(open_lake(given["lake_uri"]), given["run_id"], note)
                raise
            with suppress(LakeError):
                clear_note(open_lake(given["lake_uri"]), given["run_id"], stage, shard)
            return result

        return noted

    return around


def note_of(stage: Stage, shard: int, error: Exception) -> ShardNote:
    """What is noted of a try that failed, within its task."""
    context = TaskRunContext.get()
    attempt, attempts = 1, 1
    if context is not None:
        attempt, attempts = context.task_run.run_count, context.task.retries + 1
    return ShardNote(
        shard=shard,
        stage=stage,
        attempt=attempt,
        attempts=attempts,
        will_retry=attempt < attempts and is_passing(error),
        at=datetime.now(UTC),
        error=str(error) if isinstance(error, CordError) else repr(error),
    )
