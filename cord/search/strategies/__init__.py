"""What is searched how: one file for each way, all behind one protocol.

    beam        the paper's: the best few partial trajectories live on
    greedy      the same with one, begun again while tokens are left
    mcts        a tree of steps, grown where it promises most
    curation    no search: whole trajectories, the best one is kept
    integration no search: whole trajectories, merged into one by a model

A strategy knows no engine, no clock and no chance: it is told what was decided and says what to
continue next, so that the same rounds lead to the same place again (`cord.journal`).
"""

from __future__ import annotations

from collections.abc import Callable

from cord.recipe import SearchSettings
from cord.search.strategies.beam import BeamSearch
from cord.search.strategies.curation import Curation
from cord.search.strategies.greedy import GreedySearch
from cord.search.strategies.integration import Integration
from cord.search.strategies.mcts import TreeSearch
from cord.search.strategies.strategy import Strategy
from cord.types import Trajectory

__all__ = ["Strategy", "open_strategy"]


_STRATEGIES: dict[str, Callable[[Trajectory, SearchSettings], Strategy]] = {
    "beam": BeamSearch,
    "greedy": GreedySearch,
    "mcts": TreeSearch,
    "curation": Curation,
    "integration": Integration,
}


def open_strategy(start: Trajectory, settings: SearchSettings) -> Strategy:
    """The strategy that `settings` ask for, at the empty trajectory `start`."""
    return _STRATEGIES[settings.strategy](start, settings)
