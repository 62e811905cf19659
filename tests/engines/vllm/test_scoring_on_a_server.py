"""Every scoring way on a real vLLM server, against a float32 reference by Hugging Face."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import cord.miniature
from cord.engines import AnswerRequest, ProposalRequest
from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.forced_decoding_flags import FORCED_IDS
from cord.engines.vllm.scoring_ways import WAYS, WayLost
from cord.engines.vllm.server import VllmServer
from cord.prompts import ANSWER_PROBE, JUDGEMENT_PROBE, JUDGEMENTS, messages, thinking_opening
from cord.scoring.binary import BinaryJudgement, share_of_yes
from cord.types import Problem, Step

pytestmark = pytest.mark.slow

MODEL = Path(cord.miniature.__file__).parent / "models" / "ada"
TEXTS = ["9+5=4, and 4+8=2", "### Step 1. 9+5=4\n\n### Step 2. 4*8=2\n", "Zwölf Äpfel"]
ANSWERS = ["7", "42", "9 or 3 or 5", "<|eos|>7"]  # an end token in the midst too


@pytest.fixture
def server(vllm_server: Callable[[Path], str]) -> VllmServer:
    return VllmServer(vllm_server(MODEL), MODEL.name)


@pytest.fixture
def engine(vllm_server: Callable[[Path], str]) -> VllmEngine:
    return VllmEngine(vllm_server(MODEL), MODEL.name)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL)


@pytest.fixture(scope="module")
def reference():
    """`reference(context, answer)`: the log-probabilities of the answer's ids, in float32."""
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()

    def logprobs(context: tuple[int, ...], answer: tuple[int, ...]) -> list[float]:
        with torch.inference_mode():
            logits = model(torch.tensor([context + answer])).logits[0]
        spoken = logits.log_softmax(-1)[len(context) - 1 : -1]
        return spoken.gather(1, torch.tensor([answer]).T).flatten().tolist()

    return logprobs


def ids_of(tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False).input_ids)


async def test_a_server_with_the_processor_is_scored_by_forced_decoding(engine):
    info = await engine.describe()
    assert (info.scores, info.scoring) == (True, "forced-decoding")


@pytest.mark.parametrize("way", [name for name in WAYS if name != "trace-replay"])
async def test_every_way_agrees_with_a_float32_reference(server, tokenizer, reference, way):
    answers = [ids_of(tokenizer, answer) for answer in ANSWERS]
    for text in (*TEXTS, " and so on" * 40):
        context = ids_of(tokenizer, text)
        for _ in range(2):  # the second time out of the cache
            got = await WAYS[way](server, context, answers)
            for answer, values in zip(answers, got, strict=True):
                assert values == pytest.approx(reference(context, answer), abs=1e-4)


async def test_a_judgement_agrees_with_a_float32_reference(engine, tokenizer, reference):
    said = Step("### Step 1. 9+5=4\n", "t", ("t",), (), "other", 9, 0.5, 0.0)
    chat = tokenizer.apply_chat_template(
        messages("Start 9; +5"), tokenize=False, add_generation_prompt=True
    )
    pieces = (chat + thinking_opening(chat), said.text, JUDGEMENT_PROBE)
    context = tuple(id_ for piece in pieces for id_ in ids_of(tokenizer, piece))
    yes, no = (reference(context, ids_of(tokenizer, word)) for word in JUDGEMENTS)
    score = await BinaryJudgement(engine).score(Problem("p", "Start 9; +5", "4"), (said,), "k")
    assert score == pytest.approx(share_of_yes(yes, no), abs=1e-3)


async def test_a_server_without_a_second_model_runner_does_not_replay(server):
    with pytest.raises(WayLost):
        await WAYS["trace-replay"](server, (60, 61), [(62, 63)])


async def test_scoring_among_sampling_changes_neither(engine):
    def asking(number: int) -> ProposalRequest:
        question = f"Start 9; +{number % 10}; *3"
        return ProposalRequest(
            question, (), "### Step 1.", ("### Step",), 40, temperature=0.9, seed=number
        )

    def scoring(number: int) -> AnswerRequest:
        step = Step(f"### Step 1. 9+{number}={number}\n", "t", ("t",), (), "other", 9, 0.5, 0.0)
        return AnswerRequest(f"Start 9; +{number}; *3", (step,), ANSWER_PROBE, ("7", "9 or 3"))

    sampled = [await engine.propose(asking(n)) for n in range(12)]
    scores = [await engine.answer_logprobs(scoring(n)) for n in range(16)]
    together = await asyncio.gather(
        *(
            ask
            for n in range(16)
            for ask in (
                engine.answer_logprobs(scoring(n)),
                *([engine.propose(asking(n))] if n < 12 else []),
            )
        )
    )
    assert [got for got in together if not isinstance(got, list)] == sampled
    for got, alone in zip([got for got in together if isinstance(got, list)], scores, strict=True):
        for ours, theirs in zip(got, alone, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-4)
    assert len({proposal.token_ids for proposal in sampled}) > 1


@pytest.mark.parametrize("ids", [[], [1, "x"], [1, -1], "12", [7]])
def test_ids_that_cannot_be_forced_are_refused_with_a_sentence(vllm_server, ids):
    answer = httpx.post(
        vllm_server(MODEL) + "/completions",
        json={
            "model": MODEL.name,
            "prompt": [60, 61],
            "max_tokens": 2,
            "vllm_xargs": {FORCED_IDS: ids},
        },
        timeout=60,
    )
    assert answer.status_code == 400 and FORCED_IDS in answer.json()["error"]["message"]


async def test_an_id_beyond_the_vocabulary_is_another_token_and_no_dead_server(server, engine):
    with pytest.raises(WayLost, match="other tokens"):
        await WAYS["forced-decoding"](server, (60, 61), [(62, 5000)])
    assert (await engine.describe()).scores
