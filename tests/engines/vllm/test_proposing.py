"""What is asked for a step, and what comes back."""

import pytest
from doubles.vllm_answers import STEP, completion
from engines.asking import asking
from engines.vllm.asking import IDENTITY, completions, step


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


async def test_a_step_goes_back_to_its_author_as_the_ids_it_sampled(server, engine):
    server.completions.append(completion("x", [120], "length"))
    own, foreign = step("### Step 1. a\n", (STEP, 1, 2)), step("b\n", (STEP, 3), "other")
    await engine.propose(asking(steps=(own, foreign, step("c\n"))))
    assert completions(server)[0]["prompt"][-18:] == [STEP, 1, 2, *b"b\nc\n", *b"### Step 1."]


async def test_the_room_that_the_context_leaves_caps_a_proposal(server, engine):
    taken = await engine.prompt_tokens("1+1?")
    server.listing[0]["max_model_len"] = taken + 5
    server.completions.append(completion("x", [120], "length"))
    await engine.propose(asking(opening=""))
    assert completions(server)[0]["max_tokens"] == 5
