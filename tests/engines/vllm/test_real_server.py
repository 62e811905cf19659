"""The vLLM engine against a real vLLM that serves one of cord's small models."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import cord.miniature
from cord.engines import AnswerRequest, ProposalRequest
from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.server import Patience, VllmServer
from cord.errors import ContextTooLong, EngineError
from cord.prompts import ANSWER_PROBE, messages, thinking_opening
from cord.types import Step

pytestmark = pytest.mark.slow

MODEL = Path(cord.miniature.__file__).parent / "models" / "ada"
QUESTION = "Start 9; +5; +8; *9; rev"


@pytest.fixture
def engine(vllm_server: Callable[[Path], str]) -> VllmEngine:
    return VllmEngine(vllm_server(MODEL), MODEL.name)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL)


def asking(number: int = 0, **changes: object) -> ProposalRequest:
    request = {
        "question": QUESTION + f"; +{number}" * (number % 5),
        "steps": (),
        "opening": "### Step 1.",
        "stop": ("### Step",),
        "max_tokens": 40,
        "temperature": 0.9,
        "seed": 1000 + number,
    }
    return ProposalRequest(**(request | changes))  # type: ignore[arg-type]


async def test_a_real_server_says_what_it_is(engine):
    info = await engine.describe()
    assert info.identity == f"vllm:ada@{MODEL}" and info.context == 2048 and info.scores
    assert info.engine.startswith("vllm 0.")


async def test_the_prompt_is_what_the_chat_template_renders(engine, tokenizer):
    rendered = tokenizer.apply_chat_template(
        messages(QUESTION), tokenize=False, add_generation_prompt=True
    )
    rendered += thinking_opening(rendered)
    ids = tokenizer(rendered, add_special_tokens=False).input_ids
    assert await engine.prompt_tokens(QUESTION) == len(ids)


async def test_the_same_seed_gives_the_same_tokens_alone_and_among_others(engine):
    requests = [asking(number) for number in range(16)]
    together = await asyncio.gather(*map(engine.propose, requests))
    alone = [await engine.propose(request) for request in requests]
    assert together == alone
    assert len({proposal.token_ids for proposal in alone}) > 1


@pytest.mark.parametrize("temperature", [0.0, 0.9, 2.0])  # 2: torn characters too
@pytest.mark.parametrize("stop", [("### Step",), ("9",), ()])
async def test_the_ids_spell_the_text_exactly(engine, tokenizer, temperature, stop):
    requests = [asking(n, temperature=temperature, stop=stop) for n in range(8)]
    for request, proposal in zip(
        requests, await asyncio.gather(*map(engine.propose, requests)), strict=True
    ):
        assert tokenizer.decode(proposal.token_ids) == proposal.text
        assert proposal.text.startswith(request.opening) and proposal.token_ids
        written = proposal.text.removeprefix(request.opening)
        assert not any(text in written for text in stop)
        assert "<|eos|>" not in written
        assert 0 < proposal.tokens <= 40


async def test_a_turn_that_the_model_ends_is_told_from_a_stop_and_from_the_cap(engine):
    stopped = await engine.propose(asking(temperature=0.0, stop=("=",)))
    capped = await engine.propose(asking(temperature=0.0, max_tokens=2))
    ended = await engine.propose(asking(temperature=0.0, max_tokens=500, stop=()))
    assert (stopped.finish, capped.finish, ended.finish) == ("stop", "length", "end")
    assert (stopped.stopped_at, capped.stopped_at, ended.stopped_at) == ("=", "", "")
    assert "\\boxed{" in ended.text


async def test_a_step_continues_exactly_where_it_was_cut(engine):
    whole = await engine.propose(asking(temperature=0.0, max_tokens=12, stop=()))
    half = await engine.propose(asking(temperature=0.0, max_tokens=6, stop=()))
    step = Step(half.text, "ada", ("ada",), half.token_ids, half.model, 6, 0.5, 0.0, False)
    rest = await engine.propose(
        asking(temperature=0.0, max_tokens=6, stop=(), steps=(step,), opening="")
    )
    assert half.text + rest.text == whole.text
    assert half.token_ids + rest.token_ids == whole.token_ids


async def test_scores_agree_with_a_float32_reference(engine, tokenizer):
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    proposal = await engine.propose(asking())
    step = Step(proposal.text, "ada", ("ada",), proposal.token_ids, proposal.model, 1, 0.5, 0.0)
    answers = ("7", "42", "9 or 3")
    got = await engine.answer_logprobs(AnswerRequest(QUESTION, (step,), ANSWER_PROBE, answers))
    rendered = tokenizer.apply_chat_template(
        messages(QUESTION), tokenize=False, add_generation_prompt=True
    )
    texts = (rendered + thinking_opening(rendered), step.text, ANSWER_PROBE)
    pieces = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
    context = [*pieces[0], *step.token_ids, *pieces[2]]
    for answer, values in zip(answers, got, strict=True):
        ids = tokenizer(answer, add_special_tokens=False).input_ids
        with torch.inference_mode():
            logits = model(torch.tensor([context + ids])).logits[0]
        reference = logits.log_softmax(-1)[len(context) - 1 : -1].gather(1, torch.tensor([ids]).T)
        assert values == pytest.approx(reference.flatten().tolist(), abs=1e-4)


async def test_a_prompt_that_the_server_finds_too_long_is_told_apart(vllm_server):
    server = VllmServer(vllm_server(MODEL), MODEL.name)
    for length in (2048, 4000):
        with pytest.raises(ContextTooLong, match="model 'ada'"):
            await server.post("/v1/completions", {"prompt": [60] * length, "max_tokens": 1})
    await server.close()


async def test_a_prompt_that_fills_the_context_but_for_one_token_is_taken(engine):
    room = 2048 - await engine.prompt_tokens(QUESTION)
    filling = Step(
        "x", "t", ("t",), (60,) * (room - 1), (await engine.describe()).identity, 1, 1, 0
    )
    request = asking(steps=(filling,), opening="")
    proposal = await engine.propose(request)
    assert proposal.tokens == 1


async def test_a_model_that_is_not_served_is_named_beside_those_that_are(vllm_server):
    with pytest.raises(EngineError, match=r"'nope' .* served: ada\."):
        await VllmEngine(vllm_server(MODEL), "nope").describe()


async def test_a_server_killed_in_the_middle_of_requests_is_survived(own_vllm_server, tmp_path):
    folder = tmp_path / "ada"
    shutil.copytree(MODEL, folder)
    server = await asyncio.to_thread(own_vllm_server, folder)
    engine = VllmEngine(server.url, "ada", patience=Patience(longest_wait_s=2.0))
    requests = [asking(n, temperature=2.0, max_tokens=300, stop=()) for n in range(24)]
    before = await asyncio.gather(*map(engine.propose, requests))

    under_way = [asyncio.create_task(engine.propose(request)) for request in requests]
    await asyncio.sleep(0.3)
    server.kill()
    assert not all(task.done() for task in under_way)
    (folder / "chat_template.jinja").unlink()  # for what follows
    await asyncio.to_thread(server.start)
    assert await asyncio.gather(*under_way) == before

    # The same start serves for a second claim: a model without a chat template is found out.
    with pytest.raises(EngineError, match=r"'ada' .* has no chat template"):
        await VllmEngine(server.url, "ada").describe()
