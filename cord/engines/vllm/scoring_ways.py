"""Ways to read log p(answer | context) from a vLLM server; each is one function of the same shape.

`forced-decoding`: one request for each answer, whose ids the server is made to decode by cord's
processor (`forced_decoding`), and their own log-probabilities come back. The context is an ordinary
prompt, so all of it but the newest step is in the prefix cache.

`trace-replay`: the same, built into vLLM's second model runner, for a server that was started with
`--enable-trace-replay --enable-scale-out`. The form of request and answer was read from vLLM 0.32's
source (`vllm/entrypoints/scale_out/token_in_token_out/`) and tried on a server without a GPU, which
answers in this form but cannot replay: this way was never tested on a GPU. A probe tries it before
it is used.

`one-token`: one request for each token of an answer, all at once, that allows nothing but this
token. Any vLLM has it, and it uses the cache; but each request reads the newest step for itself.

`prompt-logprobs`: the log-probabilities of a whole prompt (`prompt_logprobs=0`: of the prompt's own
tokens only). Exact, and any vLLM has it, but the server then reads the context anew for each
candidate, cache or not.

Left out, because they give wrong numbers or endanger the server: structured output with a `choice`
(masked before the log-probabilities are taken), `skip_reading_prefix_cache=false` together with
`prompt_logprobs` (rows that were never written; vLLM issue 42019), and `logprob_token_ids` (mixed
up with other requests' top log-probabilities).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from cord.engines.json_values import shown
from cord.engines.vllm.forced_decoding_flags import FORCED_IDS
from cord.engines.vllm.server import Answer, VllmServer
from cord.engines.vllm.tokens import Ids
from cord.errors import ContextTooLong, EngineError, EngineUnreachable, UnusableAnswer

_CLAMPED = -9999.0  # what vLLM writes for minus infinity
_ROUNDING = 1e-3  # a certain token's log-probability may come out above 0 by as much

_FORCED: Answer = {
    "temperature": 0,
    "logprobs": 0,
    "ignore_eos": True,  # an answer may hold any token
    "return_tokens_as_token_ids": True,  # `token_id:65`; `return_token_ids` repeats the prompt's
    "skip_special_tokens": False,
    # Neutral, whatever the model's generation_config.json says: applied after the forcing.
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}


class ScoringWay(Protocol):
    """Natural-log probabilities of each answer's ids behind `context`: one value per id."""

    async def __call__(
        self, server: VllmServer, context: Ids, answers: Sequence[Ids]
    ) -> list[tuple[float, ...]]:
        """Raises `WayLost` where the server does not know (any more) this way, and
        `UnusableAnswer` where it gives no usable value."""
        ...


class WayLost(EngineError):
    """The server does not do what this way needs: it refuses it, or decodes other tokens."""


async def read_by_forced_decoding(
    server: VllmServer, context: Ids, answers: Sequence[Ids]
) -> list[tuple[float, ...]]:
    """`forced-decoding`: one request for each answer."""

    async def read(answer: Ids) -> tuple[float, ...]:
        body = {
            **_FORCED,
            "prompt": context,
            "max_tokens": len(answer),
            "min_tokens": len(answer),  # no stop token that the server adds ends it early
            "vllm_xargs": {FORCED_IDS: answer},
        }
        return _decoded_values(server, await _ask(server, "/v1/completions", body), answer)

    return list(await asyncio.gather(*map(read, answers)))


async def read_by_trace_replay(
    server: VllmServer, context: Ids, answers: Sequence[Ids]
) -> list[tuple[float, ...]]:
    """`trace-replay`: one request for each answer. Never tested on a GPU."""

    async def read(answer: Ids) -> tuple[float, ...]:
        body = {
            "token_ids": context,
            "sampling_params": {
                "trace_decode_token_ids": answer,
                "max_tokens": len(answer),
                "logprobs": 0,
                "temperature": 0,
            },
        }
        choice = _only_choice(server, await _ask(server, "/inference/v1/generate", body))
        content = _entry(choice.get("logprobs"), "content")
        entries = content if isinstance(content, list) else []
        ids = [_entry(entry, "token_id") for entry in entries]
        if ids != list(answer) or choice.get("token_ids") != list(answer):
            raise _other_tokens(server)
        values = [_entry(entry, "logprob") for entry in entries]
        return _usable_values(server, values, answer)

    return list(await asyncio.gather(*map(read, answers)))


async def read_by_one_token(
    server: VllmServer, context: Ids, answers: Sequence[Ids]
) -> list[tuple[float, ...]]:
    """`one-token`: one request for each token of each answer, all at once."""

    async def read(prompt: Ids, token: int) -> float:
        body = {**_FORCED, "prompt": prompt, "max_tokens": 1, "allowed_token_ids": [token]}
        answer = await _ask(server, "/v1/completions", body)
        return _decoded_values(server, answer, (token,))[0]

    places = [(context + answer[:i], token) for answer in answers for i, token in enumerate(answer)]
    values = iter(await asyncio.gather(*(read(prompt, token) for prompt, token in places)))
    return [tuple(next(values) for _ in answer) for answer in answers]


async def read_prompt_logprobs(
    server: VllmServer, context: Ids, answers: Sequence[Ids]
) -> list[tuple[float, ...]]:
    """`prompt-logprobs`: one request, with a prompt for each answer."""
    body = {
        "prompt": [context + answer for answer in answers],
        "prompt_logprobs": 0,
        "max_tokens": 1,
        "temperature": 0,
    }
    choices = (await server.post("/v1/completions", body)).get("choices")
    if not isinstance(choices, list) or len(choices) != len(answers):
        raise _unusable(server, f"gave no log-probabilities for {len(answers)} answers")
    by_index = {
        choice["index"]: choice
        for choice in choices
        if isinstance(choice, dict) and type(choice.get("index")) is int
    }
    return [
        _prompt_values(server, _entry(by_index.get(index), "prompt_logprobs"), context, answer)
        for index, answer in enumerate(answers)
    ]


PLAIN = "prompt-logprobs"

WAYS: dict[str, ScoringWay] = {
    "forced-decoding": read_by_forced_decoding,
    "trace-replay": read_by_trace_replay,
    "one-token": read_by_one_token,
    PLAIN: read_prompt_logprobs,
}
"""All ways by name, the fastest first."""


async def _ask(server: VllmServer, path: str, body: Answer) -> Answer:
    """Post; a refusal is a `WayLost` (a wrong key would be refused in every way, and is then)."""
    try:
        return await server.post(path, body)
    except (ContextTooLong, EngineUnreachable, UnusableAnswer):
        raise
    except EngineError as error:
        raise WayLost(str(error)) from error


def _only_choice(server: VllmServer, answer: Answer) -> dict[str, Any]:
    choices = answer.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise _unusable(server, "gave no log-probabilities of what it decoded")
    return choices[0]


def _entry(holder: object, name: str) -> object:
    return holder.get(name) if isinstance(holder, dict) else None


def _decoded_values(server: VllmServer, answer: Answer, wanted: Ids) -> tuple[float, ...]:
    """The values of the decoded tokens, once they are seen to be those `wanted`."""
    logprobs = _only_choice(server, answer).get("logprobs")
    tokens, values = _entry(logprobs, "tokens"), _entry(logprobs, "token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list):
        raise _unusable(server, "gave no log-probabilities of what it decoded")
    if tokens != [f"token_id:{token}" for token in wanted]:
        raise _other_tokens(server)
    return _usable_values(server, values, wanted)


def _prompt_values(
    server: VllmServer, positions: object, context: Ids, answer: Ids
) -> tuple[float, ...]:
    """The answer's values out of `positions`: for each prompt token {id: {logprob, ...}}."""
    if not isinstance(positions, list) or len(positions) != len(context) + len(answer):
        raise _unusable(server, "gave no log-probabilities of the prompt")
    found = [
        _entry(_entry(position, str(token)), "logprob")
        for token, position in zip(answer, positions[len(context) :], strict=True)
    ]
    return _usable_values(server, found, answer)


def _usable_values(server: VllmServer, values: Sequence[object], answer: Ids) -> tuple[float, ...]:
    """`values` as log-probabilities of the answer's tokens."""
    if len(values) != len(answer):
        raise _unusable(server, f"gave {len(values)} log-probabilities for {len(answer)} tokens")
    usable = []
    for token, value in zip(answer, values, strict=True):
        # Neither NaN nor an infinity lies between them; `false` is no number.
        is_bool = isinstance(value, bool)
        if is_bool or not isinstance(value, int | float) or not _CLAMPED < value <= _ROUNDING:
            raise _unusable(server, f"gave {shown(value)} as the log-probability of token {token}")
        usable.append(min(0.0, float(value)))
    return tuple(usable)


def _other_tokens(server: VllmServer) -> WayLost:
    return WayLost(str(server.error("decoded other tokens than those it was told to")))


def _unusable(server: VllmServer, what: str) -> UnusableAnswer:
    return server.unusable(
        f"{what}, so it cannot score; use another meta-prover, or start vLLM in another --dtype"
    )
