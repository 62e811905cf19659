"""What there is to do for the shards of a run, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect.task_runners import TaskRunner

from cord.errors import CordError
from cord.recipe import Recipe
from tasks.board import BOARD


@dataclass(frozen=True, slots=True)
class ShardWork:
    """The shards of a run that are to be decoded and verified, and by what."""

    lake: str
    run_id: str
    shards: list[int]
    recipe: Recipe
    runner: TaskRunner[Any]
    show_share: Callable[[float], None]

    def show(self, ended: float) -> None:
        """Show the progress: the share of shards that have ended, or of problems where that is
        more."""
        self.show_share(max(BOARD.share_done, ended))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of all shards: tables for the dashboard (key, what it is, rows), and the errors of those that
    failed."""

    tables: list[tuple[str, str, list[dict[str, Any]]]]
    failed: dict[int, BaseException]


def told(error: BaseException) -> str:
    """An error in a sentence."""
    return f"{error}" if isinstance(error, CordError) else repr(error)
