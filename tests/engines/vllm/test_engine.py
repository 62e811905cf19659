"""A model on a vLLM server: who it is, what it makes of answers, loops and threads."""

import asyncio
import math
import threading

import pytest
from doubles.vllm_answers import STEP, raw
from engines.vllm.asking import IDENTITY, QUICK, completions, scoring, step

from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.tokens import IdCache
from cord.errors import EngineError


async def test_each_answer_gets_one_value_for_each_of_its_own_tokens(server, engine):
    server.logprob = lambda position, token_id: -token_id / 100
    values = await engine.answer_logprobs(scoring("42", "A"))
    assert values == [(-0.52, -0.50), (-0.65,)]


async def test_the_answer_stands_behind_thinking_and_probe(server, engine):
    await engine.answer_logprobs(scoring("42", thinking=(step("a\n", (STEP, 1)),)))
    ends = [asked["prompt"][-12:] for asked in completions(server)]
    assert [STEP, 1, *b"</think>{", *b"4"] in ends  # reads the second token, behind the first


@pytest.mark.parametrize("value", [math.nan, -math.inf, -9999.0, None, "x"])
async def test_a_value_that_is_no_log_probability_is_an_error(server, engine, value):
    await engine.describe()
    server.logprob = lambda position, token_id: value
    with pytest.raises(EngineError, match=r"model 'm' .* as the log-probability of token 5[02]"):
        await engine.answer_logprobs(scoring("42"))


async def test_logprobs_that_are_missing_are_an_error(server, engine):
    server.faults.extend([raw(b'{"choices": [{"index": 0, "prompt_logprobs": null}]}')] * 9)
    with pytest.raises(EngineError, match="no log-probabilities"):
        await engine.answer_logprobs(scoring("42"))


async def test_an_empty_answer_cannot_be_scored(engine):
    with pytest.raises(EngineError, match="empty answer"):
        await engine.answer_logprobs(scoring("42", ""))


async def test_it_says_what_it_is(engine):
    info = await engine.describe()
    assert (info.model, info.identity, info.context) == ("m", IDENTITY, 2048)
    assert (info.engine, info.scores, info.reproducible) == ("vllm 0.32.0", True, False)


async def test_a_server_that_gives_no_logprobs_does_not_score(server, engine):
    server.logprob = lambda position, token_id: None
    assert not (await engine.describe()).scores


async def test_a_model_that_is_not_served_is_named_beside_those_that_are(server):
    with pytest.raises(EngineError, match=r"'nope' .* served: m\."):
        await VllmEngine(server.url, "nope", patience=QUICK).describe()


async def test_the_url_may_leave_out_v1(server):
    engine = VllmEngine(server.url.removesuffix("/v1") + "/", "m", patience=QUICK)
    assert (await engine.describe()).context == 2048


def test_one_engine_serves_several_event_loops_in_several_threads(server):
    engine = VllmEngine(server.url, "m", patience=QUICK)
    counts: list[int] = []

    async def use() -> None:
        counts.append(await engine.prompt_tokens("1+1?"))
        await asyncio.gather(*(engine.answer_logprobs(scoring(str(n))) for n in range(8)))

    threads = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(use())
    assert len(counts) == 5 and len(set(counts)) == 1


def test_loops_that_are_over_leave_no_connections_behind(server):
    engine = VllmEngine(server.url, "m", patience=QUICK)
    for _ in range(20):
        asyncio.run(engine.prompt_tokens("1+1?"))
        engine._tokenizer._cache = IdCache()  # so that each loop must ask again
    assert len(engine._server._wire._clients) == 1


async def test_a_closed_engine_may_be_used_again(engine):
    await engine.prompt_tokens("1+1?")
    await engine.close()
    assert await engine.prompt_tokens("2+2?") > 0
    await engine.close()
