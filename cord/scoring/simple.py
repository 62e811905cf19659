"""The two criteria that look at nothing: random choice and the longest step (ablations).

Both give values in (0, 1], so that the same search and the same contracts apply.
"""

from __future__ import annotations

from cord.seeds import unit_interval
from cord.types import Problem, Step


class RandomChoice:
    """A number drawn from the candidate's own key."""

    async def score(self, problem: Problem, steps: tuple[Step, ...], key: str) -> float:
        """Uniform in (0, 1], the same for the same key."""
        return unit_interval(key)


class MaxLength:
    """The longer the last step, the better."""

    def __init__(self, max_step_tokens: int) -> None:
        self._max_step_tokens = max_step_tokens

    async def score(self, problem: Problem, steps: tuple[Step, ...], key: str) -> float:
        """Tokens of the last step over the cap on a step."""
        if not steps:
            return 1.0
        return min(1.0, max(1, steps[-1].tokens) / self._max_step_tokens)
