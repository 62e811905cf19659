"""Any OpenAI-compatible endpoint as a teacher, against a double that speaks their dialects."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from doubles.openai_answers import OpenAIAnswers
from doubles.vllm_answers import cut_short, hang_up, raw, status
from engines.asking import asking

from cord.engines import AnswerRequest
from cord.engines.endpoint.chat_prefix import WAYS
from cord.engines.endpoint.chat_reply import joined
from cord.engines.endpoint.engine import USUAL_CONTEXT, OpenAIEngine
from cord.engines.vllm.availability import Patience
from cord.ensemble import open_ensemble
from cord.errors import ContextTooLong, EngineError, EngineUnreachable, RecipeError
from cord.recipe_file import parse_recipe
from cord.types import Step

QUICK = Patience(total_s=2.0, first_wait_s=0.01, longest_wait_s=0.05, first_contact_s=0.3)
DIALECTS = {
    "switches": "continue_final_message",
    "mark": "prefix",
    "mark, apart": "prefix, thinking apart",
    "convention": "by convention",
    "thinking off": "by convention, thinking off in the template",
}


@pytest.fixture
def serve() -> Iterator[object]:
    with ExitStack() as stack:
        yield lambda takes="switches", **how: stack.enter_context(OpenAIAnswers(takes, **how))


@pytest.fixture
def server(serve) -> OpenAIAnswers:
    return serve()


@pytest.fixture
def engine(server) -> OpenAIEngine:
    return OpenAIEngine(server.url, "m", instructions="Think.", patience=QUICK)


def step(text: str) -> Step:
    return Step(text, "t", ("t",), (1, 2), "another", 2, 0.5, 0.1)


def choice(content: str, finish: str = "stop", **more: object) -> dict[str, object]:
    return {"message": {"role": "assistant", "content": content}, "finish_reason": finish, **more}


async def proposed(engine, server, reply, **changes):
    """What comes of this reply, once the endpoint is known."""
    await engine.describe()
    server.replies.append(reply)
    return await engine.propose(asking(**changes))


def sent(server: OpenAIAnswers) -> dict[str, object]:
    return server.requests[-1][1]


# -- how it is asked to go on ---------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("takes", "name"), DIALECTS.items())
async def test_the_way_that_an_endpoint_goes_on_by_is_found_out(serve, takes, name, strict):
    server = serve(takes, strict=strict)
    engine = OpenAIEngine(server.url, "m", patience=QUICK)
    info = await engine.describe()
    # A lax endpoint that goes on by convention does so whatever else stands in the request.
    lax = takes == "convention" and not strict
    assert info.engine == f"openai ({'continue_final_message' if lax else name})"
    assert (info.model, info.identity, info.scores) == ("m", "openai:m", False)


@pytest.mark.parametrize("strict", [False, True])
async def test_an_endpoint_that_starts_over_is_refused_in_one_sentence(serve, strict):
    server = serve("nothing", strict=strict)
    with pytest.raises(EngineError, match=r"cannot continue a text that was begun.*over.*teacher"):
        await OpenAIEngine(server.url, "m", patience=QUICK).describe()


async def test_an_endpoint_that_refuses_every_way_is_quoted(serve):
    server = serve()
    server.faults.extend([status(400, "the last message must be the user's")] * len(WAYS))
    with pytest.raises(EngineError, match=r"refuses each way .* must be the user's"):
        await OpenAIEngine(server.url, "m", patience=QUICK).describe()


async def test_an_endpoint_that_takes_no_seed_is_asked_without(serve):
    server = serve("convention", strict=True, seeds=False)
    engine = OpenAIEngine(server.url, "m", patience=QUICK)
    await proposed(engine, server, choice(" add\n"))
    assert "seed" not in sent(server)


# -- proposing ------------------------------------------------------------------------------------


async def test_the_thinking_the_steps_and_the_opening_stand_in_the_last_message(server, engine):
    steps = (step("### Step 1. a\n"),)
    await proposed(engine, server, choice(" b\n"), steps=steps, opening="### Step 2.", top_p=0.9)
    asked = sent(server)
    assert asked["messages"] == [
        {"role": "user", "content": "Think.\n\n1+1?"},
        {"role": "assistant", "content": "<think>\n### Step 1. a\n### Step 2."},
    ]
    assert (asked["stop"], asked["seed"], asked["temperature"]) == (["### Step"], 7, 0.6)
    assert (asked["top_p"], asked["max_tokens"]) == (0.9, 50)


async def test_where_the_thinking_stands_apart_so_does_the_answer(serve):
    server = serve("mark, apart")
    engine = OpenAIEngine(server.url, "m", instructions="", patience=QUICK)
    done = step("### Step 1. a\n</think>\n\nThe")
    await proposed(engine, server, choice(" end"), steps=(done,), opening="", stop=())
    last = sent(server)["messages"][-1]
    assert last["reasoning_content"] == "### Step 1. a\n" and last["content"] == "\n\nThe"


async def test_a_proposal_has_its_opening_its_cost_and_no_ids(server, engine):
    proposal = await proposed(engine, server, choice(" add\n", stop_reason="### Step"))
    assert (proposal.text, proposal.token_ids) == ("### Step 1. add\n", ())
    assert (proposal.tokens, proposal.prompt_tokens, proposal.cached_tokens) == (6, 40, 32)
    assert (proposal.finish, proposal.model) == ("stop", "openai:m")


async def test_costs_that_are_not_said_are_guessed(server, engine):
    server.usage = None
    proposal = await proposed(engine, server, choice(" add the two\n"))
    assert proposal.tokens == 5 and proposal.prompt_tokens > 5 and proposal.cached_tokens is None


@pytest.mark.parametrize(
    ("reply", "text", "finish"),
    [
        pytest.param(choice(" a\n", "length"), " a\n", "length", id="the cap"),
        pytest.param(choice(" a\n### Step 2"), " a\n", "stop", id="the stop is given back"),
        pytest.param(choice("a\n"), " a\n", "stop", id="a space was stripped"),
        pytest.param(choice(" a</think>b"), " a</think>b", "end", id="an answer ends the turn"),
        pytest.param(choice(" a", stop_reason=None), " a", "end", id="it says so itself"),
        pytest.param(choice(" a", matched_stop="### Step"), " a", "stop", id="so does SGLang"),
        pytest.param(choice(" a", matched_stop=151643), " a", "end", id="an end token"),
    ],
)
async def test_why_a_step_ended_is_told_or_taken_from_the_thinking(
    server, engine, reply, text, finish
):
    proposal = await proposed(engine, server, reply)
    assert (proposal.text, proposal.finish) == ("### Step 1." + text, finish)


@pytest.mark.parametrize(
    ("message", "closed", "text"),
    [
        ({"content": "a"}, False, "a"),
        ({"content": None, "reasoning_content": "a"}, False, "a"),
        ({"content": "b", "reasoning_content": "a\n"}, False, "a\n</think>\n\nb"),
        ({"content": "\nb", "reasoning": "a"}, False, "a</think>\nb"),
        ({"content": "</think>b", "reasoning": "a"}, False, "a</think>b"),
        ({"content": "", "reasoning": "b"}, True, "b"),
        ({"content": "c", "reasoning": "b"}, True, "bc"),
        ({"content": [{"type": "text"}]}, False, None),
        ({"content": None}, False, ""),
    ],
)
def test_what_a_reasoning_parser_took_apart_is_joined(message, closed, text):
    assert joined(message, closed) == text


async def test_the_room_that_the_context_leaves_caps_a_proposal(server):
    engine = OpenAIEngine(server.url, "m", instructions="", context=600, patience=QUICK)
    await proposed(engine, server, choice(" a"), question="9" * 1000, max_tokens=500)
    assert 64 < sent(server)["max_tokens"] < 200


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 2048 tokens.",
        "the request exceeds the available context size",
        "Your input exceeds the context window of this model.",
    ],
)
async def test_a_context_that_is_too_long_is_told_apart(server, engine, message):
    await engine.describe()
    server.faults.append(status(400, message))
    with pytest.raises(ContextTooLong):
        await engine.propose(asking())


# -- who it is ------------------------------------------------------------------------------------


async def test_the_context_is_the_recipes_or_the_lists_or_the_usual(serve):
    server = serve()
    known = await OpenAIEngine(server.url, "m", context=999, patience=QUICK).describe()
    listed = await OpenAIEngine(server.url, "m", patience=QUICK).describe()
    unlisted = await OpenAIEngine(serve(listing=False).url, "m", patience=QUICK).describe()
    assert (known.context, listed.context, unlisted.context) == (999, 2048, USUAL_CONTEXT)


async def test_an_endpoints_base_address_is_taken_as_it_is(server):
    url = server.url.removesuffix("/v1") + "/beta"
    await OpenAIEngine(url, "m", patience=QUICK).describe()
    assert {path for path, _ in server.requests} == {"/beta/models", "/beta/chat/completions"}


async def test_it_never_scores(server, engine):
    with pytest.raises(EngineError, match=r"OpenAI-compatible endpoint .* cannot score"):
        await engine.answer_logprobs(AnswerRequest("1+1?", (), "</think>", ("2",)))


async def test_the_tokens_of_a_prompt_are_counted_by_the_endpoint(server, engine):
    assert await engine.prompt_tokens("1+1?") == 40
    assert sent(server)["max_tokens"] == 1


# -- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [status(429), status(500), status(503), hang_up, cut_short, raw(b"<html>"), raw(b"{}")],
)
async def test_a_failure_that_passes_is_survived(server, engine, fault):
    await engine.describe()
    server.faults.append(fault)
    assert (await engine.propose(asking())).text.startswith("### Step 1.")


async def test_a_reply_that_was_filtered_is_an_error(server, engine):
    await engine.describe()
    server.replies.extend([choice("", "content_filter")] * 8)
    with pytest.raises(EngineError, match="content_filter"):
        await engine.propose(asking())


async def test_a_wrong_key_is_one_sentence(server, monkeypatch):
    server.key = "sesame-42"
    monkeypatch.setenv("TEACHER_KEY", "open-it")
    with pytest.raises(EngineError, match="TEACHER_KEY") as caught:
        await OpenAIEngine(server.url, "m", "TEACHER_KEY", patience=QUICK).describe()
    assert "open-it" not in str(caught.value)


async def test_an_endpoint_that_is_not_there_is_said_soon(server, engine):
    server.__exit__()
    with pytest.raises(EngineUnreachable, match="'m' on the OpenAI-compatible endpoint"):
        await engine.describe()
    server.__enter__()


# -- in a recipe ----------------------------------------------------------------------------------

RECIPE = """\
name: mixed
problems: {path: p.jsonl}
teachers:
  - {name: far, url: "http://far:1/v1", model: m, engine: openai, context: 4096}
meta_prover: far
"""


def test_as_a_meta_prover_it_is_refused_with_line_and_remedy():
    with pytest.raises(RecipeError, match=r"^r\.yaml:5: meta_prover: m is .* cannot score"):
        parse_recipe(RECIPE, "r.yaml")


@pytest.mark.parametrize("field", ["context: 4096, ", ""])
def test_a_recipe_opens_it_as_a_teacher(field, tmp_path):
    text = RECIPE.replace("meta_prover: far", 'meta_prover: {model: "cord:meta"}')
    recipe = parse_recipe(text.replace("context: 4096, ", field))
    seat = open_ensemble(recipe, tmp_path).teachers[0]
    engine = seat.engine
    while not isinstance(engine, OpenAIEngine):
        engine = engine.engine  # behind its seats and its meter
    assert "http://far:1/v1" in repr(engine)


def test_a_context_for_another_kind_of_model_is_refused():
    with pytest.raises(RecipeError, match="`context` is for `engine: openai`"):
        parse_recipe(RECIPE.replace("engine: openai, ", ""))
