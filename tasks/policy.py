"""How every task of the factory behaves: what is retried, what is kept by Prefect.

The lake is the memory of a run, so Prefect caches nothing and persists no result: a task that is
run again looks into the lake first. Only what may pass by itself is tried again, with growing,
jittered waits; a wrong recipe or a broken contract fails at once.
"""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from cord.errors import CordError, EngineUnreachable, LakeError


def may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether another try makes sense, for Prefect."""
    return is_passing(state.result(raise_on_failure=False))


def is_passing(error: object) -> bool:
    """What may pass by itself: unreachable engines, lake trouble, anything unforeseen."""
    return isinstance(error, EngineUnreachable | LakeError) or not isinstance(error, CordError)


OPTIONS: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": may_pass,
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "result_serializer": "json",
    "log_prints": False,
}
