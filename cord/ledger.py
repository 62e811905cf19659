"""What the decided rounds of a shard cost, kept until it is known what became of their problem.

A search that ends hands its costs over with its trajectories. One that an engine refuses for good
leaves only a reason; what it had spent until then was paid all the same, and is found here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from cord.scheduler import Watcher
from cord.types import NO_COST, Cost, Decoding, Problem, Quarantined, Round


class Ledger:
    """A `Watcher` that adds up what it hears, and passes it on to another one.

    Problems under way and quarantined ones take memory; a decoded problem is forgotten."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._spent: dict[str, dict[str, Cost]] = {}
        self._lock = threading.Lock()

    def round_recalled(self, problem: Problem, decided: Round) -> None:
        """It was paid for, whenever that was."""
        self._add(problem, decided)
        self._watcher.round_recalled(problem, decided)

    def round_decided(self, problem: Problem, decided: Round) -> None:
        """Add the round's costs to its problem's."""
        self._add(problem, decided)
        self._watcher.round_decided(problem, decided)

    def problem_done(self, problem: Problem, done: Decoding | Quarantined) -> None:
        """A decoded problem tells its costs itself."""
        if isinstance(done, Decoding):
            with self._lock:
                self._spent.pop(problem.id, None)
        self._watcher.problem_done(problem, done)

    def _add(self, problem: Problem, decided: Round) -> None:
        with self._lock:
            spent = self._spent.setdefault(problem.id, {})
            for teacher, cost in decided.costs:
                spent[teacher] = spent.get(teacher, NO_COST) + cost

    def spent_on(self, problem_id: str) -> Mapping[str, Cost]:
        """By teacher, what the decided rounds of a problem cost that was not decoded."""
        with self._lock:
            return dict(self._spent.get(problem_id, {}))
