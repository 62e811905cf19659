"""Predictive perplexity, the paper's criterion (method.md, part 2; CoRD, section 3).

For question x, prefix t, candidate step s and the ground-truth answer A of M tokens:

    S = exp( 1/M * sum_i log p_meta(a_i | x, t + s, a_<i) )        in (0, 1], higher is better

Mind the name: it is an *inverse* perplexity; the paper's word is kept. It looks ahead: how
predictable has this step made the right answer? Ours: the answer stands behind an answer probe
(close the thinking, then `The final answer is \\boxed{`) whose own tokens do not count; among
several accepted spellings of the answer the best one counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from cord.engines import AnswerRequest, Engine
from cord.errors import EngineError
from cord.prompts import ANSWER_PROBE, split_thinking
from cord.types import Problem, Step


def predictive_perplexity(logprobs: Sequence[float]) -> float:
    """exp of the mean log-probability of the answer's M >= 1 tokens.

    Raises `EngineError` when there is nothing to score or a value is no log-probability."""
    if not logprobs or any(math.isnan(p) or p > 1e-6 for p in logprobs):
        raise EngineError(f"the meta-prover returned no usable log-probabilities: {logprobs!r}")
    return min(1.0, math.exp(math.fsum(logprobs) / len(logprobs)))


def open_thinking(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps up to where the thinking is closed, so that a stated answer cannot be copied."""
    thinking, closing = split_thinking("".join(step.text for step in steps))
    if closing is None:
        return steps
    kept: list[Step] = []
    room = len(thinking)
    for step in steps:
        if room <= 0:
            break
        whole = len(step.text) <= room
        # A shortened text is no longer what its ids spell: engines tokenise it anew.
        kept.append(step if whole else replace(step, text=step.text[:room], token_ids=()))
        room -= len(step.text)
    return tuple(kept)


def on_a_line_of_its_own(probe: str, thinking: tuple[Step, ...]) -> str:
    """What is put behind the thinking, so that it begins a line."""
    return probe if not thinking or thinking[-1].text.endswith("\n") else "\n" + probe


class PredictivePerplexity:
    """The criterion of the paper, over any engine that returns log-probabilities."""

    def __init__(self, meta_prover: Engine, probe: str = ANSWER_PROBE) -> None:
        self._meta_prover = meta_prover
        self._probe = probe

    async def score(self, problem: Problem, steps: tuple[Step, ...], key: str) -> float:
        """S of the prefix `steps`; the best-scored spelling of the answer counts."""
        thinking = open_thinking(steps)
        probe = on_a_line_of_its_own(self._probe, thinking)
        request = AnswerRequest(
            problem.question, thinking, probe, problem.answers, urgency=len(steps)
        )
        logprobs = await self._meta_prover.answer_logprobs(request)
        return max(predictive_perplexity(spelling) for spelling in logprobs)
