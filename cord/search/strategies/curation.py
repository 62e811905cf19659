"""Curation, what the paper compares with: whole trajectories, the best kept (method.md, part 4).

Each teacher writes `width` of them on its own, as many as a full round of the beam has proposals;
a single teacher with `width: 1` is the baseline without any choice.
"""

from __future__ import annotations

from collections.abc import Sequence

from cord.recipe import SearchSettings
from cord.search.beam import grow, order
from cord.search.strategies.strategy import Strategy
from cord.types import Candidate, Trajectory


class Curation(Strategy):
    """One round of whole trajectories, each a candidate of one step."""

    def __init__(self, start: Trajectory, settings: SearchSettings) -> None:
        self._start, self._settings = start, settings
        self._written: tuple[Trajectory, ...] | None = None

    def growing(self) -> Sequence[tuple[int, Trajectory]]:
        """The empty trajectory, once for each sample of a teacher."""
        if self._written is not None:
            return ()
        return [(sample, self._start) for sample in range(self._settings.width)]

    def take(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Keep the `width` best, finished ones first."""
        written = [grow(self._start, candidate) for candidate in candidates]
        places = order(written, self._settings.chosen_by)[: self._settings.width]
        self._written = tuple(written[place] for place in places)
        return tuple(c.marked(place in places) for place, c in enumerate(candidates))

    def best(self) -> tuple[Trajectory, ...]:
        """The kept ones, best first."""
        return self._written or (self._start,)
