"""What strategies are told in tests: made-up candidates with made-up scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cord.search.strategies import Strategy
from cord.types import Candidate, Step, Trajectory

START = Trajectory(start_score=0.2)


def candidate(beam: int, text: str, score: float, end: bool = False, tokens: int = 1) -> Candidate:
    step = Step(text, "ada", ("ada",), (), "m", tokens, score, math.log(score))
    return Candidate(beam, step, end, "1" if end else None)


def texts(strategy: Strategy) -> list[str]:
    return [trajectory.text for trajectory in strategy.best()]


def asked(strategy: Strategy) -> list[tuple[int, str]]:
    return [(place, trajectory.text) for place, trajectory in strategy.growing()]


def through(strategy: Strategy, rounds: Sequence[Sequence[Candidate]]) -> None:
    for candidates in rounds:
        assert strategy.growing()
        strategy.take(candidates)
