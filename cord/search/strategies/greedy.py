"""Greedy search: the best step, and on (method.md, part 3, B = 1)."""

from __future__ import annotations

from collections.abc import Sequence

from cord.recipe import SearchSettings
from cord.search.beam import can_grow, rank, select
from cord.search.strategies.strategy import Strategy
from cord.types import Candidate, Trajectory


class GreedySearch(Strategy):
    """One prefix at a time. With a budget (`max_problem_tokens`) it begins again at the empty
    trajectory while tokens are left, so that it can be compared at equal cost; without one it goes
    down once. At most `max_steps * width` rounds."""

    def __init__(self, start: Trajectory, settings: SearchSettings) -> None:
        self._start, self._settings = start, settings
        self._prefix = start
        self._ended: list[Trajectory] = []
        self._rounds = 0

    def growing(self) -> Sequence[tuple[int, Trajectory]]:
        """The one prefix, until it has ended and there is no further one."""
        once = self._settings.max_problem_tokens is None
        at_most = self._settings.max_steps * self._settings.width
        if self._rounds >= at_most or (once and self._ended):
            return ()
        return ((0, self._prefix),)

    def take(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Go on with the best step; where none could be used, the way ends here."""
        best, marked = select((self._prefix,), candidates, width=1, rank_by=self._settings.rank_by)
        self._rounds += 1
        at_end = not best or not can_grow(best[0], self._settings)
        self._prefix = best[0] if best else self._prefix
        if at_end:
            self._ended.append(self._prefix)
            self._prefix = self._start
        return marked

    def best(self) -> tuple[Trajectory, ...]:
        """The best of all ways that were gone."""
        under_way = [self._prefix] if self._prefix.steps else []
        ways = [t for t in self._ended if t.steps] + under_way or [self._start]
        return rank(ways, self._settings.chosen_by)[: self._settings.width]
