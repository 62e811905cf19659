"""Integration, what the paper compares with: a model merges whole trajectories (method.md, part 4).

Each teacher writes `width` of them on its own, as for curation; then the integrator is shown those
that are finished (all, where none is) behind the question, and writes one of its own. That one is
the answer, whatever its score; where nothing finished comes of it, the best written one is.
"""

from __future__ import annotations

from collections.abc import Sequence

from cord.recipe import SearchSettings
from cord.search.beam import grow, rank
from cord.search.strategies.strategy import Strategy
from cord.types import Candidate, Trajectory


class Integration(Strategy):
    """A round of whole trajectories, and a round that merges them; each a candidate of one step."""

    def __init__(self, start: Trajectory, settings: SearchSettings) -> None:
        self._start, self._settings = start, settings
        self._shown: tuple[Trajectory, ...] | None = None
        self._merged: tuple[Trajectory, ...] | None = None

    def growing(self) -> Sequence[tuple[int, Trajectory]]:
        """The empty trajectory: once for each sample of a teacher, then once for the integrator."""
        if self._shown is None:
            return [(sample, self._start) for sample in range(self._settings.width)]
        return [(0, self._start)] if self._shown and self._merged is None else ()

    def merges(self) -> Sequence[Trajectory]:
        """What is kept of the first round, as it was asked for: sample by sample, the teachers in
        the recipe's order."""
        return self._shown or ()

    def take(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Keep what the integrator is shown: the finished ones, or all; then what it wrote."""
        kept = candidates
        if self._shown is None:
            kept = [c for c in candidates if c.finished] or candidates
            self._shown = tuple(grow(self._start, candidate) for candidate in kept)
        else:
            self._merged = tuple(grow(self._start, candidate) for candidate in kept)
        return tuple(candidate.marked(candidate in kept) for candidate in candidates)

    def best(self) -> tuple[Trajectory, ...]:
        """The merged one if it is finished, then the best of the others; `width` in all."""
        merged, shown = self._merged or (), self._shown or ()
        first = tuple(t for t in merged if t.finished)
        others = rank([*shown, *(t for t in merged if not t.finished)], self._settings.chosen_by)
        return (*first, *others)[: self._settings.width] or (self._start,)
