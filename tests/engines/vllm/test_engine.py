import asyncio
import logging
import math
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from doubles.vllm_answers import (
    END,
    NAN,
    NO_TEMPLATE,
    PIECES,
    STEP,
    TOO_LONG,
    TORN_STOP,
    VllmAnswers,
    completion,
    cut_short,
    hang_up,
    raw,
    status,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cord.engines import AnswerRequest, ProposalRequest
from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.server import Patience
from cord.engines.vllm.tokens import IdCache
from cord.errors import ContextTooLong, EngineError, EngineUnreachable, UnusableAnswer
from cord.types import Step

QUICK = Patience(total_s=2.0, first_wait_s=0.01, longest_wait_s=0.05, first_contact_s=0.2)
IDENTITY = "vllm:m@org/m"


@pytest.fixture
def server() -> Iterator[VllmAnswers]:
    with VllmAnswers() as answers:
        yield answers


@pytest.fixture
def engine(server: VllmAnswers) -> VllmEngine:
    return VllmEngine(server.url, "m", patience=QUICK)


def asking(**changes: object) -> ProposalRequest:
    request = {
        "question": "1+1?",
        "steps": (),
        "opening": "### Step 1.",
        "stop": ("### Step",),
        "max_tokens": 50,
        "temperature": 0.6,
        "seed": 7,
    }
    return ProposalRequest(**(request | changes))  # type: ignore[arg-type]


def scoring(*answers: str, thinking: tuple[Step, ...] = ()) -> AnswerRequest:
    return AnswerRequest("1+1?", thinking, "</think>{", answers)


def step(text: str, ids: tuple[int, ...] = (), model: str = IDENTITY) -> Step:
    return Step(text, "t", ("t",), ids, model, len(ids), 0.5, 0.1)


def written(tokens: list[int], stop: str) -> tuple[str, tuple[int, ...], str | None]:
    """What vLLM makes of sampled tokens: (text, its token ids, the stop that was met)."""
    spelt = b""
    for count, token in enumerate(tokens, 1):
        spelt += PIECES.get(token) or bytes([token])
        before, met, _ = spelt.decode(errors="replace").partition(stop)
        if met:
            return before, tuple(tokens[:count]), stop
    return spelt.decode(errors="replace").rstrip("\ufffd"), tuple(tokens), None


def completions(server: VllmAnswers) -> list[dict[str, object]]:
    return server.asked("/v1/completions")


# -- proposing ------------------------------------------------------------------------------------


async def test_a_proposal_starts_with_its_opening_and_its_ids_spell_its_text(server, engine):
    server.completions.append(completion(" add\n", [*b" add\n", *b"### Step"], "stop", "### Step"))
    proposal = await engine.propose(asking())
    assert proposal.text == "### Step 1. add\n"
    assert bytes(proposal.token_ids).decode() == proposal.text
    assert (proposal.tokens, proposal.finish, proposal.model) == (13, "stop", IDENTITY)


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"usage": {"prompt_tokens_details": {"cached_tokens": 16}}}, 16),
        ({"usage": {"prompt_tokens_details": {"cached_tokens": 0}}}, 0),
        ({"usage": {"prompt_tokens_details": {"cached_tokens": -1}}}, None),
        ({"usage": {"prompt_tokens_details": {"cached_tokens": "many"}}}, None),
        ({"usage": {"prompt_tokens_details": None}}, None),
        ({"usage": []}, None),
        ({}, None),
    ],
)
async def test_what_a_proposal_cost_is_told_and_what_the_server_does_not_say_is_not_known(
    server, engine, monkeypatch, usage, cached
):
    healthy = server.answer
    monkeypatch.setattr(server, "answer", lambda path, body: {**healthy(path, body), **usage})
    server.completions.append(completion("x", [120], "length"))
    proposal = await engine.propose(asking())
    assert proposal.cached_tokens == cached
    assert proposal.prompt_tokens == len(completions(server)[0]["prompt"])
    assert 0 < proposal.seconds < 60


async def test_the_prompt_ends_with_an_opened_thinking_and_the_opening_of_the_step(server, engine):
    server.completions.append(completion("x", [120], "length"))
    await engine.propose(asking())
    assert bytes(completions(server)[0]["prompt"]).endswith(b"<assistant><think>\n### Step 1.")


async def test_a_thinking_that_the_template_opened_is_not_opened_again(server, engine):
    server.thinking_is_opened = True
    server.completions.append(completion("x", [120], "length"))
    await engine.propose(asking(opening=""))
    assert completions(server)[0]["prompt"][-2:] == [259, 10]


async def test_sampling_is_what_the_recipe_says_whatever_the_server_defaults_to(server, engine):
    server.completions.append(completion("x", [120], "length"))
    await engine.propose(asking(top_p=0.9))
    sent = completions(server)[0]
    assert (sent["temperature"], sent["top_p"], sent["seed"], sent["top_k"]) == (0.6, 0.9, 7, 0)
    assert (sent["repetition_penalty"], sent["presence_penalty"], sent["min_p"]) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("sampled", "text", "spelt"),
    [
        pytest.param([97, STEP], "a", [97], id="the stop is one token"),
        pytest.param([97, TORN_STOP], "a.\n", [97, *b".\n"], id="the stop ends inside a token"),
        pytest.param([*b"ab", *b"### Step"], "ab", [*b"ab"], id="the stop is many tokens"),
        pytest.param([STEP], "", [], id="nothing but the stop"),
    ],
)
async def test_a_stop_string_is_cut_from_the_ids_too(server, engine, sampled, text, spelt):
    server.completions.append(completion(text, sampled, "stop", "### Step"))
    proposal = await engine.propose(asking(opening=""))
    assert (proposal.text, list(proposal.token_ids)) == (text, spelt)
    assert (proposal.tokens, proposal.finish) == (len(sampled), "stop")


async def test_a_tokenizer_that_always_spells_as_it_samples_is_asked_no_more(server, engine):
    whole = completion("ab", [*b"ab", *b"### Step"], "stop", "### Step")
    for _ in range(40):
        server.completions.append(whole)
        assert (await engine.propose(asking(opening=""))).token_ids == (97, 98)
    asked = len(server.asked("/detokenize"))
    server.completions += [whole, completion("a", [97, 0xC3], "length")]
    assert (await engine.propose(asking(opening=""))).token_ids == (97, 98)
    assert len(server.asked("/detokenize")) == asked
    assert (await engine.propose(asking(opening=""))).token_ids == (97,)  # cut inside a character


async def test_a_tokenizer_that_once_spells_otherwise_is_always_asked(server, engine):
    with_a_space = completion("a ", [97, *b"### Step"], "stop", "### Step")
    server.completions += [with_a_space]
    assert (await engine.propose(asking(opening=""))).token_ids == (97, 32)
    server.completions += [completion("ab", [*b"ab", *b"### Step"], "stop", "### Step")] * 40
    for _ in range(40):
        await engine.propose(asking(opening=""))
    server.completions += [with_a_space]
    assert (await engine.propose(asking(opening=""))).token_ids == (97, 32)


async def test_a_character_that_was_never_finished_is_neither_in_the_text_nor_in_the_ids(
    server, engine
):
    server.completions.append(completion("a", [97, 0xC3], "length"))
    proposal = await engine.propose(asking(opening=""))
    assert (proposal.token_ids, proposal.tokens, proposal.finish) == ((97,), 2, "length")


@given(st.lists(st.sampled_from([97, 10, 35, 32, STEP, TORN_STOP, 0xC3, 0xA9, 0xE2]), max_size=12))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_sampled_and_wherever_it_stops_the_ids_spell_the_text(server, tokens):
    text, sampled, stop = written(tokens, "### Step")

    async def spell() -> tuple[int, ...]:
        engine = VllmEngine(server.url, "m", patience=QUICK)
        return await engine._tokenizer.spell("### Step 1.", text, sampled, stop)

    ids = asyncio.run(spell())
    spelt = server.answer("/detokenize", {"tokens": ids})["prompt"]
    assert spelt == "### Step 1." + text or (not ids and "\ufffd" in text)


@pytest.mark.parametrize("stop_reason", [None, 151643])
async def test_an_end_token_ends_the_turn_and_is_not_part_of_the_step(server, engine, stop_reason):
    server.completions.append(completion("ab", [97, 98, END], "stop", stop_reason))
    proposal = await engine.propose(asking(opening=""))
    assert (proposal.token_ids, proposal.tokens, proposal.finish) == ((97, 98), 3, "end")


async def test_a_step_goes_back_to_its_author_as_the_ids_it_sampled(server, engine):
    server.completions.append(completion("x", [120], "length"))
    own, foreign = step("### Step 1. a\n", (STEP, 1, 2)), step("b\n", (STEP, 3), "other")
    await engine.propose(asking(steps=(own, foreign, step("c\n"))))
    assert completions(server)[0]["prompt"][-18:] == [STEP, 1, 2, *b"b\nc\n", *b"### Step 1."]


async def test_the_same_text_is_tokenised_once(server, engine):
    for _ in range(3):
        server.completions.append(completion("x", [120], "length"))
        await engine.propose(asking())
    asked = [body.get("prompt", "chat") for body in server.asked("/tokenize")]
    assert sorted(asked) == sorted(set(asked))


async def test_the_room_that_the_context_leaves_caps_a_proposal(server, engine):
    taken = await engine.prompt_tokens("1+1?")
    server.listing[0]["max_model_len"] = taken + 5
    server.completions.append(completion("x", [120], "length"))
    await engine.propose(asking(opening=""))
    assert completions(server)[0]["max_tokens"] == 5


# -- scoring --------------------------------------------------------------------------------------


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


# -- who it is ------------------------------------------------------------------------------------


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


# -- failures that pass ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        *(status(code) for code in (429, 500, 502, 503, 504)),
        hang_up,
        cut_short,
        raw(b"<html>a proxy speaks</html>"),
        raw(b'{"choices": [{"text": "ab'),
        raw(b"[]"),
        raw(b'{"choices": [{"text": "a", "token_ids": [97], "finish_reason": "abort"}]}'),
    ],
)
async def test_a_failure_that_passes_is_survived(server, engine, fault):
    server.faults.extend([fault, fault])
    server.completions.append(completion("x", [120], "length"))
    assert (await engine.propose(asking(opening=""))).text == "x"


async def test_a_failure_that_stays_ends_in_one_sentence_at_the_deadline(server):
    patience = Patience(total_s=0.3, first_wait_s=0.01, longest_wait_s=0.05)
    engine = VllmEngine(server.url, "m", patience=patience)
    server.faults.extend([status(503, "overloaded")] * 1000)
    began = time.monotonic()
    with pytest.raises(EngineUnreachable, match=r"'m' on the vLLM server http.*503: overloaded"):
        await engine.propose(asking())
    assert 0.2 < time.monotonic() - began < 2


async def test_a_server_that_is_not_there_is_said_soon(engine, server):
    server.__exit__()
    with pytest.raises(EngineUnreachable, match="check that the server is up"):
        await engine.describe()
    server.__enter__()


async def test_a_server_that_never_answers_is_unreachable():
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    patience = Patience(first_contact_s=0.1, first_wait_s=0.01, answer_s=0.1)
    engine = VllmEngine(f"http://127.0.0.1:{port}/v1", "m", patience=patience)
    with pytest.raises(EngineUnreachable, match="did not answer in time"):
        await engine.describe()
    await engine.close()
    silent.close()


@pytest.mark.parametrize(
    "retry_after", ["0.3", formatdate(time.time() + 86_400, usegmt=True)], ids=["seconds", "date"]
)
async def test_retry_after_is_honoured_and_never_beyond_the_deadline(server, engine, retry_after):
    server.faults.append(status(429, retry_after=retry_after))
    server.completions.append(completion("x", [120], "length"))
    began = time.monotonic()
    if retry_after == "0.3":
        await engine.propose(asking())
        assert time.monotonic() - began >= 0.3
    else:
        with pytest.raises(EngineUnreachable, match="429"):
            await engine.propose(asking())
        assert time.monotonic() - began < 1


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (status(400, "top_p must be in (0, 1]"), r"refused the request \(400\): top_p must be"),
        (raw(b'{"detail":"Not Found"}', 404), "url must be a vLLM server's"),
        (status(404, "The model `m` does not exist."), "served: m"),
        (raw(b"", 307), "refused the request"),
    ],
)
async def test_a_refusal_is_one_sentence_and_is_not_tried_again(server, engine, fault, sentence):
    server.faults.append(fault)
    with pytest.raises(EngineError, match=sentence) as caught:
        await engine.propose(asking(opening=""))
    assert "'m'" in str(caught.value) and server.url in str(caught.value)
    assert len(completions(server)) == 1


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (status(400, NAN), "not numbers"),
        (raw(b'{"choices": []}'), "vLLM 0.20 or newer"),
        (raw(b'{"choices": [{"text": "a", "finish_reason": "stop"}]}'), "vLLM 0.20 or newer"),
        (
            raw(b'{"choices": [{"text": "\\ud800", "token_ids": [1], "finish_reason": "stop"}]}'),
            "text",
        ),
    ],
)
async def test_an_answer_that_says_nothing_is_asked_for_again_a_few_times(
    server, engine, fault, sentence
):
    server.faults.extend([fault] * (QUICK.unusable_tries - 1))
    server.completions.append(completion("x", [120], "length"))
    assert (await engine.propose(asking(opening=""))).text == "x"
    server.faults.extend([fault] * QUICK.unusable_tries)
    with pytest.raises(UnusableAnswer, match=sentence):
        await engine.propose(asking(opening=""))
    assert len(completions(server)) == 2 * QUICK.unusable_tries


async def test_a_model_without_a_chat_template_is_found_out_at_once(server, engine):
    server.faulty_path = "/tokenize"
    server.faults.append(status(400, NO_TEMPLATE))
    with pytest.raises(EngineError, match=r"'m' .* has no chat template, .*--chat-template"):
        await engine.describe()


async def test_a_context_that_is_too_long_is_told_apart(server, engine):
    server.faults.append(status(400, TOO_LONG))
    with pytest.raises(ContextTooLong, match="maximum context length is 2048"):
        await engine.propose(asking(opening=""))


async def test_a_prompt_beyond_the_context_is_never_sent(server, engine):
    with pytest.raises(ContextTooLong, match=r"do not fit .*2048 tokens"):
        await engine.propose(asking(question="9" * 3000))
    with pytest.raises(ContextTooLong, match=r"do not fit .*2048 tokens"):
        await engine.answer_logprobs(scoring("4" * 3000))
    assert not completions(server)


# -- keys -----------------------------------------------------------------------------------------


async def test_the_key_is_sent_and_shown_nowhere(server, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    server.key = "sesame-42"
    monkeypatch.setenv("TEACHER_KEY", "sesame-42")
    engine = VllmEngine(server.url, "m", "TEACHER_KEY", patience=QUICK)
    await engine.describe()
    server.faulty_path = "/tokenize"
    server.faults.append(status(400, "you said Bearer sesame-42, which I echo"))
    with pytest.raises(EngineError) as caught:
        await engine.prompt_tokens("another")
    shown = [str(caught.value), repr(caught.value), repr(engine), repr(engine._server), caplog.text]
    assert not any("sesame" in text for text in shown)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("TEACHER_KEY", "open-it", "set the environment variable TEACHER_KEY to the server's key"),
        (None, "", "name the environment variable that holds its key in api_key_env"),
        ("TEACHER_KEY", "", "TEACHER_KEY .* is not set"),
        ("TEACHER_KEY", "open-\nit", "characters that no key can have"),
    ],
)
async def test_a_wrong_or_missing_key_is_one_sentence(
    server, monkeypatch, variable, value, sentence
):
    server.key = "sesame-42"
    monkeypatch.setenv("TEACHER_KEY", value)
    with pytest.raises(EngineError, match=sentence) as caught:
        await VllmEngine(server.url, "m", variable, patience=QUICK).describe()
    assert "open-" not in str(caught.value)
    assert not isinstance(caught.value, EngineUnreachable)


# -- loops and threads ----------------------------------------------------------------------------


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


def test_the_cache_forgets_the_least_recently_used():
    cache = IdCache(capacity=6)
    cache.put("text", "a", (1, 2))
    cache.put("text", "b", (3, 4))
    assert cache.get("text", "a") == (1, 2)
    cache.put("text", "c", (5, 6))
    assert cache.get("text", "b") is None
    assert cache.get("text", "a") == (1, 2) and cache.get("text", "c") == (5, 6)
