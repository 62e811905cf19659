"""Where the tasks of a run are carried out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from cord.lake import Lake
from cord.recipe import Recipe
from flows.ray_cluster import open_ray, require_ray


@contextmanager
def open_runner(recipe: Recipe, lake: Lake, run_id: str) -> Iterator[TaskRunner[Any]]:
    """The runner that the recipe names, for this run, while the block runs.

    Raises `CordError` where it cannot be had."""
    if is_remote(recipe):
        with open_ray(recipe, lake, run_id) as ray:
            yield ray
        return
    threads: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=recipe.run.workers)
    with threads:
        yield threads


def require_runner(recipe: Recipe) -> None:
    """Raises `UsageError` where the runner is not installed, or not for such a recipe."""
    if is_remote(recipe):
        require_ray(recipe)


def is_remote(recipe: Recipe) -> bool:
    """Whether its shards are decoded by other processes than the flow's."""
    return recipe.run.runner == "ray"
