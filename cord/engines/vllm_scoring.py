"""Ways to read log p(answer | context) from a vLLM server; each is one function of the same shape.

The plain way asks for the log-probabilities of a whole prompt (`prompt_logprobs=0`: of the prompt's
own tokens only) and keeps the answer's. It is exact and every vLLM has it, but the server then
reads the context anew for each candidate, cache or not. Faster ways may stand beside it here; which
one an engine uses is decided once, by a probe.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from cord.engines.vllm_http import VllmServer
from cord.engines.vllm_tokens import Ids
from cord.errors import UnusableAnswer

_CLAMPED = -9999.0  # what vLLM writes for minus infinity


class ScoringWay(Protocol):
    """Natural-log probabilities of each answer's ids behind `context`: one value per id."""

    async def __call__(
        self, server: VllmServer, context: Ids, answers: Sequence[Ids]
    ) -> list[tuple[float, ...]]:
        """Raises `UnusableAnswer` where the server gives no usable value."""
        ...


async def read_prompt_logprobs(
    server: VllmServer, context: Ids, answers: Sequence[Ids]
) -> list[tuple[float, ...]]:
    """The plain way: one request, one prompt for each answer, log-probabilities of all of it."""
    body = {
        "prompt": [context + answer for answer in answers],
        "prompt_logprobs": 0,
        "max_tokens": 1,
        "temperature": 0,
    }
    choices = (await server.post("/v1/completions", body)).get("choices")
    if not isinstance(choices, list) or len(choices) != len(answers):
        raise _unusable(server, f"gave no log-probabilities for {len(answers)} answers")
    by_index = {choice.get("index"): choice for choice in choices if isinstance(choice, dict)}
    return [
        _answer_values(server, by_index.get(index, {}).get("prompt_logprobs"), context, answer)
        for index, answer in enumerate(answers)
    ]


def _answer_values(
    server: VllmServer, positions: object, context: Ids, answer: Ids
) -> tuple[float, ...]:
    """The answer's values out of `positions`: for each prompt token {id: {logprob, ...}}."""
    if not isinstance(positions, list) or len(positions) != len(context) + len(answer):
        raise _unusable(server, "gave no log-probabilities of the prompt")
    values = []
    for token_id, position in zip(answer, positions[len(context) :], strict=True):
        entry = position.get(str(token_id)) if isinstance(position, dict) else None
        value = entry.get("logprob") if isinstance(entry, dict) else None
        if not isinstance(value, int | float) or not math.isfinite(value) or value <= _CLAMPED:
            raise _unusable(server, f"gave {value} as the log-probability of token {token_id}")
        values.append(min(0.0, float(value)))
    return tuple(values)


def _unusable(server: VllmServer, what: str) -> UnusableAnswer:
    return server.unusable(
        f"{what}, so it cannot score; use another meta-prover, or start vLLM in another --dtype"
    )
