"""Beam search over steps, the paper's way (method.md, part 3)."""

from __future__ import annotations

from collections.abc import Sequence

from cord.recipe import SearchSettings
from cord.search.beam import can_grow, rank, select
from cord.search.strategies.strategy import Strategy
from cord.types import Candidate, Trajectory


class BeamSearch(Strategy):
    """B prefixes, K teachers: the best B of at most B * K candidates and of what is finished."""

    def __init__(self, start: Trajectory, settings: SearchSettings) -> None:
        self._settings = settings
        self._beam: tuple[Trajectory, ...] = (start,)
        self._came_to_nothing = False

    def growing(self) -> Sequence[tuple[int, Trajectory]]:
        """Everything in the beam that is not finished."""
        if self._came_to_nothing:
            return ()
        return [(i, t) for i, t in enumerate(self._beam) if can_grow(t, self._settings)]

    def take(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Keep the best; where no proposal could be used the beam stays what it was."""
        kept, marked = select(self._beam, candidates, self._settings.width, self._settings.rank_by)
        self._beam = kept or self._beam
        self._came_to_nothing = not candidates
        return marked

    def best(self) -> tuple[Trajectory, ...]:
        """The beam."""
        return rank(self._beam, self._settings.chosen_by)
