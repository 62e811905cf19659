"""Which ids a step has: they spell its text, and go back to whoever sampled them."""

import asyncio

import pytest
from doubles.vllm_answers import END, PIECES, STEP, TORN_STOP, completion
from engines.asking import asking
from engines.vllm.asking import QUICK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.tokens import IdCache


def written(tokens: list[int], stop: str) -> tuple[str, tuple[int, ...], str | None]:
    """What vLLM makes of sampled tokens: (text, its token ids, the stop that was met)."""
    spelt = b""
    for count, token in enumerate(tokens, 1):
        spelt += PIECES.get(token) or bytes([token])
        before, met, _ = spelt.decode(errors="replace").partition(stop)
        if met:
            return before, tuple(tokens[:count]), stop
    return spelt.decode(errors="replace").rstrip("\ufffd"), tuple(tokens), None


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


async def test_the_same_text_is_tokenised_once(server, engine):
    for _ in range(3):
        server.completions.append(completion("x", [120], "length"))
        await engine.propose(asking())
    asked = [body.get("prompt", "chat") for body in server.asked("/tokenize")]
    assert sorted(asked) == sorted(set(asked))


def test_the_cache_forgets_the_least_recently_used():
    cache = IdCache(capacity=6)
    cache.put("text", "a", (1, 2))
    cache.put("text", "b", (3, 4))
    assert cache.get("text", "a") == (1, 2)
    cache.put("text", "c", (5, 6))
    assert cache.get("text", "b") is None
    assert cache.get("text", "a") == (1, 2) and cache.get("text", "c") == (5, 6)
