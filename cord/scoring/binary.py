"""Binary judgement, an ablation of the paper: a language model says whether the steps are right.

The judge is asked behind the same prefix as the meta-prover, with a question in the place of the
answer, and only its two words count (method.md, part 2):

    score = p(yes) / (p(yes) + p(no))        in (0, 1], higher is better

It looks back where predictive perplexity looks ahead, and needs no known answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cord.engines import AnswerRequest, Engine
from cord.errors import EngineError
from cord.prompts import JUDGEMENT_PROBE, JUDGEMENTS
from cord.scoring.predictive import on_a_line_of_its_own, open_thinking
from cord.types import Problem, Step


def share_of_yes(yes: Sequence[float], no: Sequence[float]) -> float:
    """p(yes) / (p(yes) + p(no)) from the log-probabilities of each word's M >= 1 tokens.

    Raises `EngineError` when there is nothing to compare or a value is no log-probability."""
    if not yes or not no or any(math.isnan(p) or p > 1e-6 for p in (*yes, *no)):
        raise EngineError(f"the judge returned no usable log-probabilities: {yes!r}, {no!r}")
    said, denied = math.fsum(yes), math.fsum(no)
    most = max(said, denied)
    if most == -math.inf:
        raise EngineError("the judge holds both words for impossible, yes and no")
    return math.exp(said - most) / (math.exp(said - most) + math.exp(denied - most))


class BinaryJudgement:
    """Asks an engine that returns log-probabilities for its judgement."""

    def __init__(self, judge: Engine) -> None:
        self._judge = judge

    async def score(self, problem: Problem, steps: tuple[Step, ...], key: str) -> float:
        """The judge's share of yes; 1 where there is no step yet, so nothing to be wrong."""
        thinking = open_thinking(steps)
        if not thinking:
            return 1.0
        probe = on_a_line_of_its_own(JUDGEMENT_PROBE, thinking)
        request = AnswerRequest(problem.question, thinking, probe, JUDGEMENTS, urgency=len(steps))
        yes, no = await self._judge.answer_logprobs(request)
        return share_of_yes(yes, no)
