"""Where the tasks of a run are carried out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from cord.recipe import Recipe


@contextmanager
def open_runner(recipe: Recipe) -> Iterator[TaskRunner[Any]]:
    """The runner that the recipe names, while the block runs."""
    with ThreadPoolTaskRunner(max_workers=recipe.run.workers) as runner:
        yield runner


def is_remote(recipe: Recipe) -> bool:
    """Whether its shards are decoded by other processes than the flow's."""
    return False
