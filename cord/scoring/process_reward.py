"""The reward of a process reward model, an ablation of the paper (method.md, part 2).

The score is the reward of the last step: how likely it is right, given the steps in front of it.
Earlier steps were rewarded when they were the last ones. Like a judgement it looks back, and needs
no known answer.
"""

from __future__ import annotations

from cord.engines.rewarding import RewardEngine, RewardRequest
from cord.scoring.predictive import open_thinking
from cord.types import Problem, Step


def whole_steps(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """The texts of the steps as a reward model reads them: thinking only, what was cut by the token
    cap in one piece again, nothing empty, no white space around them."""
    texts: list[str] = []
    goes_on = False
    for step in open_thinking(steps):
        if goes_on:
            texts[-1] += step.text
        else:
            texts.append(step.text)
        goes_on = not step.complete
    return tuple(text for text in map(str.strip, texts) if text)


class ProcessReward:
    """Asks a reward model for the reward of the last step."""

    def __init__(self, reward_model: RewardEngine) -> None:
        self._reward_model = reward_model

    async def score(self, problem: Problem, steps: tuple[Step, ...], key: str) -> float:
        """The last step's reward; 1 where there is no step yet, so nothing to be wrong."""
        texts = whole_steps(steps)
        if not texts:
            return 1.0
        request = RewardRequest(problem.question, texts, urgency=len(steps))
        return await self._reward_model.step_reward(request)
