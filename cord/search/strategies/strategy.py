"""What the round loop asks of a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cord.types import Candidate, Trajectory


class Strategy(Protocol):
    """The decisions of one problem's search."""

    def growing(self) -> Sequence[tuple[int, Trajectory]]:
        """The prefixes that the next round continues, each under the number by which its
        candidates name it (`Candidate.beam`). None: the search has ended."""
        ...

    def merges(self) -> Sequence[Trajectory]:
        """Whole trajectories that the integrator is shown in the next round, and asked to merge
        into one, in the place of the teachers. None, as most strategies have it: they go on."""
        return ()

    def take(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Decide a round: the same candidates, with `kept` set on those that live on."""
        ...

    def best(self) -> tuple[Trajectory, ...]:
        """What was found, finished ones first, then the best; index 0 is the search's answer."""
        ...
