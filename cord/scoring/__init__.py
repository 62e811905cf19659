"""How a candidate step is judged: one protocol, one file for each criterion."""

from __future__ import annotations

from typing import Protocol

from cord.types import Problem, Step


class Criterion(Protocol):
    """Scores a prefix of steps; the beam keeps the highest. Values lie in (0, 1]."""

    async def score(self, problem: Problem, steps: tuple[Step, ...], key: str) -> float:
        """Score `steps` (the prefix with the candidate as its last step) of `problem`.

        `steps[-1].score` and `.gain` are not yet known and must not be read. `key` names the
        candidate for criteria that need randomness: same key, same value."""
        ...
