"""The ladder of scoring ways against a double: which one is chosen, and what happens to it."""

import asyncio
import json
import math
import threading
from collections.abc import Iterator

import pytest
from doubles.vllm_answers import VllmAnswers, raw, status
from engines.vllm.asking import QUICK, scoring

from cord.engines.vllm.scoring_ways import WAYS, WayLost
from cord.engines.vllm.server import VllmServer
from cord.errors import ContextTooLong, EngineError

CONTEXT, ANSWERS = (1, 2, 3), [(52, 50), (65,), (7, 8, 9)]
FAST = [name for name in WAYS if name != "prompt-logprobs"]


def improbable(position: int, token_id: int) -> float:
    """Log-probabilities that tell both places and tokens apart."""
    return -1 - position / 100 - token_id / 1000


@pytest.fixture
def server() -> Iterator[VllmAnswers]:
    with VllmAnswers() as answers:
        answers.logprob = improbable
        yield answers


def able(server: VllmAnswers) -> VllmServer:
    """A server that knows every way."""
    server.forces = server.replays = True
    return VllmServer(server.url, "m", patience=QUICK)


def plain_probes(server: VllmAnswers) -> int:
    """How often a probe asked for its reference."""
    asked = server.asked("/v1/completions")
    return sum("prompt_logprobs" in body and len(body["prompt"]) == 2 for body in asked)


# -- the ways -------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_reads_each_answer_behind_the_context(server, way):
    values = await WAYS[way](able(server), CONTEXT, ANSWERS)
    assert [len(value) for value in values] == [2, 1, 3]
    for answer, value in zip(ANSWERS, values, strict=True):
        assert value == pytest.approx([improbable(3 + i, t) for i, t in enumerate(answer)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf, -9999.0, None, "x", 3.5])
async def test_a_value_that_is_no_log_probability_is_an_error_in_every_way(server, way, value):
    server.logprob = lambda position, token: value if token == 8 else -0.5
    with pytest.raises(EngineError, match=r"model 'm' .* as the log-probability of token 8"):
        await WAYS[way](able(server), CONTEXT, ANSWERS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "answer",
    [
        {"choices": []},
        {"choices": None},
        {"choices": [7]},
        {"choices": [{"index": 0, "prompt_logprobs": [None, {}, None, {"52": {}}]}]},
        {"choices": [{"index": 0, "logprobs": None, "token_ids": [52]}]},
        {"choices": [{"index": 0, "logprobs": {"tokens": ["token_id:52"], "token_logprobs": []}}]},
        {"choices": [{"index": 0, "logprobs": {"content": [{"token_id": 52}]}, "token_ids": [52]}]},
    ],
)
async def test_an_answer_without_values_is_an_error_in_every_way(server, way, answer):
    server.faulty_path = "/inference/v1/generate" if way == "trace-replay" else "/v1/completions"
    server.faults.append(raw(json.dumps(answer).encode()))
    with pytest.raises(EngineError, match="model 'm'"):
        await WAYS[way](able(server), CONTEXT, [(52,)])


@pytest.mark.parametrize("way", FAST)
@pytest.mark.parametrize(
    "tokens", [["token_id:52"], ["token_id:52", "token_id:9"], ["4", "2"], ["token_id:50"] * 3]
)
async def test_tokens_that_were_not_asked_for_give_no_values(server, way, tokens):
    ids = [int(token.removeprefix("token_id:")) for token in tokens]
    values = [-0.5] * len(tokens)
    content = [{"token_id": i, "logprob": -0.5} for i in ids]
    logprobs = {"tokens": tokens, "token_logprobs": values, "content": content}
    choice = {"index": 0, "token_ids": ids, "logprobs": logprobs}
    server.faulty_path = "/inference/v1/generate" if way == "trace-replay" else "/v1/completions"
    server.faults.extend([raw(json.dumps({"choices": [choice]}).encode())] * 2)
    with pytest.raises(WayLost, match="other tokens"):
        await WAYS[way](able(server), CONTEXT, [(52, 50)])


@pytest.mark.parametrize("way", FAST)
async def test_a_way_that_is_refused_is_lost_and_a_long_context_is_not(server, way):
    server.faulty_path = "/inference/v1/generate" if way == "trace-replay" else "/v1/completions"
    server.faults.append(status(400, "no such thing"))
    with pytest.raises(WayLost, match="no such thing"):
        await WAYS[way](able(server), CONTEXT, [(52,)])
    server.faults.append(status(400, "This model's maximum context length is 4 tokens"))
    with pytest.raises(ContextTooLong):
        await WAYS[way](able(server), CONTEXT, [(52,)])


async def test_nothing_that_is_asked_for_changes_the_odds_after_the_forcing(server):
    for way in ("forced-decoding", "one-token"):
        await WAYS[way](able(server), CONTEXT, [(52, 50)])
    for sent in server.asked("/v1/completions"):
        assert (sent["repetition_penalty"], sent["temperature"], sent["ignore_eos"]) == (1, 0, True)
        assert (sent["presence_penalty"], sent["frequency_penalty"], sent["logprobs"]) == (0, 0, 0)


# -- the probe ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("can", "way"),
    [
        ({"forces": True, "replays": True}, "forced-decoding"),
        ({"replays": True, "allows": False}, "trace-replay"),
        ({}, "one-token"),
        ({"allows": False}, "prompt-logprobs"),
        ({"forces": True, "replays": True, "processed": True}, "prompt-logprobs"),
    ],
)
async def test_the_best_way_that_works_is_chosen_and_named(server, engine, can, way):
    for name, value in can.items():
        setattr(server, name, value)
    info = await engine.describe()
    assert (info.scores, info.scoring) == (True, way)
    (values,) = await engine.answer_logprobs(scoring("42"))
    start = await engine.prompt_tokens("1+1?") + len("</think>{")
    assert values == pytest.approx([improbable(start, 52), improbable(start + 1, 50)])
    assert plain_probes(server) == 1


async def test_a_server_that_gives_no_log_probabilities_is_no_meta_prover(server, engine):
    server.logprob = lambda position, token: None
    server.forces = True
    info = await engine.describe()
    assert (info.scores, info.scoring) == (False, "")


async def test_values_that_differ_a_little_as_in_bf16_are_taken(server, engine):
    server.forces = True
    calls = iter(range(10**6))
    server.logprob = lambda position, token: improbable(position, token) + (next(calls) % 5) / 20
    assert (await engine.describe()).scoring == "forced-decoding"


async def test_all_who_ask_at_once_share_one_probe(server, engine):
    async def ask() -> None:
        await asyncio.gather(*(engine.answer_logprobs(scoring(str(n))) for n in range(8)))

    threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert plain_probes(server) == 1


async def test_who_probes_may_be_cancelled_and_another_probes(server, engine):
    first = asyncio.create_task(engine.answer_logprobs(scoring("42")))
    others = [asyncio.create_task(engine.answer_logprobs(scoring("42"))) for _ in range(3)]
    while not plain_probes(server):  # noqa: ASYNC110 (the double has a thread, not a loop)
        await asyncio.sleep(0.001)
    first.cancel()
    others[0].cancel()
    assert len(await others[1]) == len(await others[2]) == 1
    assert first.cancelled() or first.cancelling()


# -- a way that is lost ---------------------------------------------------------------------------


async def test_a_server_started_anew_without_the_processor_is_noticed(server, engine, caplog):
    server.forces = True
    assert (await engine.describe()).scoring == "forced-decoding"
    before = await engine.answer_logprobs(scoring("42", "7"))
    server.forces = False
    many = await asyncio.gather(*(engine.answer_logprobs(scoring("42", "7")) for _ in range(12)))
    assert all(values == before for values in many)
    assert (await engine.describe()).scoring == "one-token"
    assert plain_probes(server) == 2 and "scoring was by forced-decoding" in caplog.text


async def test_an_answer_that_its_way_fails_at_is_read_the_plain_way(server, engine):
    server.forces = True
    await engine.describe()
    # Forced to say A it says 7, as a server would whose vocabulary had no A.
    decode = server._decode

    def other_tokens(body):
        forced = body.get("vllm_xargs", {}).get("cord_forced_ids", [])
        return decode({**body, "vllm_xargs": {}} if 65 in forced else body)

    server._decode = other_tokens
    start = await engine.prompt_tokens("1+1?") + len("</think>{")
    for _ in range(3):
        (values,) = await engine.answer_logprobs(scoring("A"))
        assert values == pytest.approx([improbable(start, 65)])
        assert (await engine.describe()).scoring == "forced-decoding"
    await engine.answer_logprobs(scoring("A"))
    assert (await engine.describe()).scoring == "one-token"  # it failed too often
