"""What is searched how: one file for each way, all behind one protocol.

    beam        the paper's: the best few partial trajectories live on
    greedy      the same with one, begun again while tokens are left
    mcts        a tree of steps, grown where it promises most
    curation    no search: whole trajectories, the best one is kept

A strategy knows no engine, no clock and no chance: it is told what was decided and says what to
continue next, so that the same rounds lead to the same place again (`cord.journal`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cord.recipe import SearchSettings
from cord.search.strategies.beam import BeamSearch
from cord.search.strategies.curation import Curation
from cord.search.strategies.greedy import GreedySearch
from cord.search.strategies.mcts import TreeSearch
from cord.types import Candidate, Trajectory


class Strategy(Protocol):
    """The decisions of one problem's search."""

    def growing(self) -> Sequence[tuple[int, Trajectory]]:
        """The prefixes that the next round continues, each under the number by which its
        candidates name it (`Candidate.beam`). None: the search has ended."""
        ...

    def take(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Decide a round: the same candidates, with `kept` set on those that live on."""
        ...

    def best(self) -> tuple[Trajectory, ...]:
        """What was found, finished ones first, then the best; index 0 is the search's answer."""
        ...


_STRATEGIES: dict[str, Callable[[Trajectory, SearchSettings], Strategy]] = {
    "beam": BeamSearch,
    "greedy": GreedySearch,
    "mcts": TreeSearch,
    "curation": Curation,
}


def open_strategy(start: Trajectory, settings: SearchSettings) -> Strategy:
    """The strategy that `settings` ask for, at the empty trajectory `start`."""
    return _STRATEGIES[settings.strategy](start, settings)
