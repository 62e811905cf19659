"""Whatever JSON a server answers with: something usable, or an `EngineError`, and nothing else."""

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.scoring_ways import WAYS
from cord.engines.vllm.server import VllmServer
from cord.errors import EngineError

CONTEXT, ANSWERS = (1, 2), ((52,), (50, 51))

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**70),
    st.floats(),
    st.sampled_from(["", "stop", "length", "token_id:52", "\ud800", "x"]),
)
names = st.sampled_from(
    [
        *("choices", "index", "text", "token_ids", "finish_reason", "stop_reason", "logprobs"),
        *("prompt_logprobs", "logprob", "token_logprobs", "tokens", "token_id", "content"),
        *("usage", "50", "51", "52"),
    ]
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=20,
)
values = st.sampled_from([-0.5, 0.0, 0.25, -9999.0, math.nan, -math.inf, None, "x", True])
# Near misses: an answer of the right shape, with anything in one of its places.
proposals = st.fixed_dictionaries(
    {
        "text": anything | st.just("a"),
        "token_ids": anything | st.lists(st.integers(0, 300), max_size=3),
        "finish_reason": anything | st.sampled_from(["stop", "length"]),
    },
    optional={"stop_reason": anything},
)
scores = st.fixed_dictionaries(
    {
        "index": anything | st.sampled_from([0, 1]),
        "token_ids": st.just([52]) | anything,
        "logprobs": anything
        | st.fixed_dictionaries(
            {
                "tokens": st.just(["token_id:52"]) | anything,
                "token_logprobs": st.lists(values, max_size=2) | anything,
                "content": st.lists(anything, max_size=2),
            }
        ),
        "prompt_logprobs": anything
        | st.lists(
            st.none()
            | st.dictionaries(st.just("52"), st.fixed_dictionaries({"logprob": values}) | anything),
            min_size=3,
            max_size=4,
        ),
    }
)


def answers(choices: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    right = st.fixed_dictionaries({"choices": st.lists(choices, min_size=1, max_size=2) | anything})
    return right | st.dictionaries(names, anything, max_size=4)


@given(answers(proposals))
@settings(max_examples=150)
def test_a_proposal_or_an_engine_error(answer: dict[str, Any]) -> None:
    engine = VllmEngine("http://127.0.0.1:1/v1", "m")
    try:
        text, ids, finish, stop = engine._choice(answer)
    except EngineError:
        return
    assert text.encode() is not None and finish in ("stop", "end", "length")
    assert all(type(i) is int and i >= 0 for i in ids)
    assert stop is None or isinstance(stop, str)


@pytest.mark.parametrize("name", WAYS)
@given(answer=answers(scores))
@settings(max_examples=100)
def test_log_probabilities_or_an_engine_error(name: str, answer: dict[str, Any]) -> None:
    class Answering(VllmServer):
        async def post(self, *_: Any, **__: Any) -> dict[str, Any]:
            return answer

    server = Answering("http://127.0.0.1:1/v1", "m")
    try:
        read = asyncio.run(WAYS[name](server, CONTEXT, ANSWERS[:1]))
    except EngineError:
        return
    assert len(read) == 1 and all(
        isinstance(value, float) and -9999 < value <= 0 for value in read[0]
    )
