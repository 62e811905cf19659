"""Where the shards of the run at hand stand, for its page on the dashboard.

Whoever works on a shard says so here, and the flow says how its task ended: a worker on another
machine has a board of its own.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["waiting", "decoding", "decoded", "verifying", "verified", "tried again", "failed"]
SHOWN = 100
"""Shards with a line of their own; of more than that, those that failed and those at work."""
_AT_WORK = ("decoding", "verifying", "tried again")


@dataclass(slots=True)
class ShardAtWork:
    """One shard, in the eyes of this process."""

    shard: int
    problems: int
    state: State = "waiting"
    tries: int = 0
    """Of the stage at hand."""
    why: str = ""
    """The sentence of its latest failure."""
    task_run: str = ""
    """The id of its latest task run."""


class Shards:
    """All shards of a run; safe to read at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shards: dict[int, ShardAtWork] = {}

    def begin(self, planned: Mapping[int, int], missing: Collection[int]) -> None:
        """A run begins: so many problems in each shard; all but `missing` are done."""
        left = set(missing)
        with self._lock:
            self._shards = {
                shard: ShardAtWork(shard, problems, "waiting" if shard in left else "verified")
                for shard, problems in planned.items()
            }

    def tried(self, stage: str, shard: int, attempt: int, task_run: str = "") -> None:
        """A try at a stage, `decode` or `verify`, begins."""
        state: State = "decoding" if stage == "decode" else "verifying"
        self._set(shard, state, tries=attempt, task_run=task_run)

    def ended(self, stage: str, *shards: int, task_run: str = "") -> None:
        """A stage of these shards is done."""
        for shard in shards:
            state: State = "decoded" if stage == "decode" else "verified"
            self._set(shard, state, why="", task_run=task_run)

    def failed(self, shard: int, why: str, will_retry: bool = False, task_run: str = "") -> None:
        """A try failed; without `will_retry` it was the last one."""
        state: State = "tried again" if will_retry else "failed"
        self._set(shard, state, why=why, task_run=task_run)

    def totals(self) -> dict[str, int]:
        """State to the number of shards in it."""
        with self._lock:
            return dict(Counter(one.state for one in self._shards.values()))

    def shown(self) -> list[ShardAtWork]:
        """Those that the page has a line for, at most `SHOWN`: failed ones before others where not
        all are shown."""
        with self._lock:
            chosen = list(self._shards.values())
            if len(chosen) > SHOWN:
                failed = [one for one in chosen if one.state == "failed"]
                chosen = failed + [one for one in chosen if one.state in _AT_WORK]
            return [replace(one) for one in chosen[:SHOWN]]

    def _set(
        self,
        shard: int,
        state: State,
        *,
        tries: int | None = None,
        why: str | None = None,
        task_run: str = "",
    ) -> None:
        with self._lock:
            one = self._shards.setdefault(shard, ShardAtWork(shard, 0))
            one.state = state
            one.tries = one.tries if tries is None else tries
            one.why = one.why if why is None else why
            one.task_run = task_run or one.task_run


SHARDS = Shards()
"""Those of the run that this process carries out."""
