import asyncio
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cord.engines import AnswerRequest, Proposal, ProposalRequest
from cord.engines.embedded.engine import EmbeddedEngine, open_embedded
from cord.engines.embedded.weights import shipped_models
from cord.errors import ContextTooLong, EngineError
from cord.prompts import ANSWER_PROBE, INSTRUCTIONS, messages, step_opening
from cord.types import Step

QUESTIONS = ["Two and two?", "Zwölf Äpfel und " + "noch einer, " * 9 + "wie viele?", "七?"]


def step(text: str, ids: tuple[int, ...] = (), model: str = "") -> Step:
    return Step(text, "t", ("t",), ids, model, tokens=1, score=0.5, gain=0.0)


def proposal_request(seed: int, *, temperature: float = 0.9, tokens: int = 24) -> ProposalRequest:
    rng = random.Random(seed)
    steps = tuple(step(f"### Step {n + 1}. so {rng.random()}\n") for n in range(rng.randrange(4)))
    return ProposalRequest(
        question=rng.choice(QUESTIONS),
        steps=steps,
        opening=step_opening(len(steps) + 1),
        stop=("### Step", "e", "</think>"),
        max_tokens=tokens,
        temperature=temperature,
        seed=seed,
        top_p=rng.choice([1.0, 0.9]),
    )


def answer_request(seed: int) -> AnswerRequest:
    request = proposal_request(seed)
    return AnswerRequest(request.question, request.steps, ANSWER_PROBE, ("42", f"{seed} Äpfel"))


@pytest.fixture(scope="module")
def engine(random_model: Path) -> Iterator[EmbeddedEngine]:
    engine = open_embedded(str(random_model))
    yield engine
    asyncio.run(engine.close())


def prompt_of(folder: Path, question: str) -> str:
    chat = messages(question, INSTRUCTIONS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return str(rendered) + "<think>\n"


async def test_it_says_what_model_it_is(engine: EmbeddedEngine, random_model: Path) -> None:
    info = await engine.describe()
    assert info.model == str(random_model)
    assert len(info.identity) == 64
    assert info.context == 512
    assert info.reproducible and info.scores


async def test_the_identity_is_of_the_files_and_not_of_where_they_are(
    engine: EmbeddedEngine, random_model: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(random_model, tmp_path / "copy"))
    other = Path(shutil.copytree(random_model, tmp_path / "other"))
    (other / "chat_template.jinja").write_text("<|user|>{{ messages[1].content }}<|assistant|>")
    mine, its, changed = [
        (await each.describe()).identity
        for each in (engine, open_embedded(str(copy)), open_embedded(str(other)))
    ]
    assert mine == its != changed


async def test_answers_score_as_in_a_plain_forward_pass(
    engine: EmbeddedEngine, random_model: Path
) -> None:
    """transformers' own float64 forward rounds its norms to float32: 1e-5 is what it gives."""
    tokenizer = AutoTokenizer.from_pretrained(random_model)
    model = AutoModelForCausalLM.from_pretrained(random_model, dtype=torch.float64)
    request = answer_request(5)
    pieces = [step.text for step in request.thinking] + [ANSWER_PROBE]
    prefix = tokenizer(prompt_of(random_model, request.question)).input_ids
    for piece in pieces:
        prefix = prefix + tokenizer(piece).input_ids
    scores = await engine.answer_logprobs(request)
    for answer, score in zip(request.answers, scores, strict=True):
        ids = tokenizer(answer).input_ids
        logits = model(torch.tensor([prefix + ids])).logits[0]
        expected = torch.log_softmax(logits, -1)[range(len(prefix) - 1, len(prefix + ids) - 1), ids]
        assert score == pytest.approx(expected.tolist(), abs=1e-5)


async def test_greedy_proposals_are_what_transformers_generates(
    engine: EmbeddedEngine, random_model: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(random_model)
    model = AutoModelForCausalLM.from_pretrained(random_model, dtype=torch.float64)
    request = ProposalRequest(QUESTIONS[0], (), "### Step 1.", (), 40, temperature=0, seed=0)
    proposal = await engine.propose(request)
    prompt = tokenizer(prompt_of(random_model, QUESTIONS[0])).input_ids
    prompt += tokenizer("### Step 1.").input_ids
    silent = [1, 2, 3, *range(len(tokenizer), 352)]
    generated = model.generate(
        torch.tensor([prompt]), max_new_tokens=40, do_sample=False, suppress_tokens=silent
    )[0, len(prompt) :].tolist()
    if generated[-1] == 0:
        generated.pop()
    opening = len(tokenizer("### Step 1.").input_ids)
    spoken = proposal.token_ids[opening:]
    assert list(spoken) == generated[: len(spoken)]
    assert len(generated) - len(spoken) <= 3  # a character cut at the end is dropped
    assert proposal.text == "### Step 1." + tokenizer.decode(spoken)


async def test_the_same_request_gives_the_same_bytes_in_any_company(random_model: Path) -> None:
    """Alone on a fresh engine, and in random batches with requests of other lengths, in other
    orders, from two event loops at once, on cold and warm prefixes."""
    count = 40
    alone = open_embedded(str(random_model))
    proposals = [await alone.propose(proposal_request(seed)) for seed in range(count)]
    scores = [await alone.answer_logprobs(answer_request(seed)) for seed in range(count)]
    await alone.close()
    assert len({proposal.text for proposal in proposals}) > count // 2

    crowd = open_embedded(str(random_model))

    async def in_company(order: list[int]) -> None:
        asked = [
            asyncio.gather(
                crowd.propose(proposal_request(seed)), crowd.answer_logprobs(answer_request(seed))
            )
            for seed in order
        ]
        for seed, (proposal, score) in zip(order, await asyncio.gather(*asked), strict=True):
            assert proposal == proposals[seed]
            assert score == scores[seed]

    def run_shuffled(salt: int) -> None:
        rng = random.Random(salt)
        for _ in range(4):
            asyncio.run(in_company(rng.sample(range(count), rng.choice([1, 5, 17, count]))))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run_shuffled, range(2)))
    await crowd.close()


async def test_a_proposal_in_its_own_ids_continues_as_one_in_one_piece(
    engine: EmbeddedEngine,
) -> None:
    """Cut anywhere, the ids that were sampled lead to the ids that follow: nothing is lost in
    handing steps back."""
    whole = ProposalRequest(QUESTIONS[0], (), "### Step 1.", (), 12, temperature=0, seed=0)
    written = await engine.propose(whole)
    first = await engine.propose(
        ProposalRequest(QUESTIONS[0], (), "### Step 1.", (), 6, temperature=0, seed=0)
    )
    handed_back = step(first.text, first.token_ids, first.model)
    rest = await engine.propose(
        ProposalRequest(QUESTIONS[0], (handed_back,), "", (), 6, temperature=0, seed=0)
    )
    assert first.token_ids == written.token_ids[: len(first.token_ids)]
    together = (first.token_ids + rest.token_ids)[: len(written.token_ids)]
    assert together == written.token_ids[: len(together)]


async def test_a_proposal_says_what_it_read_and_how_much_of_that_was_remembered() -> None:
    engine = open_embedded("cord:ada")
    begun = step("### Step 1. 1+1=2\n")
    request = ProposalRequest("Start 1; +1", (begun,), step_opening(2), (), 4, 0.0, 1)
    first, again = await engine.propose(request), await engine.propose(request)
    assert first.cached_tokens == 0 and first.prompt_tokens == again.prompt_tokens
    opening = len(engine._tokenizer.text_ids(request.opening))
    assert again.cached_tokens == again.prompt_tokens - opening, "all but the opening"
    assert again == first and 0 < again.seconds < 60
    await engine.close()


async def test_a_proposal_ends_before_its_stop_string(engine: EmbeddedEngine) -> None:
    proposals: list[Proposal] = await asyncio.gather(
        *[engine.propose(proposal_request(seed, tokens=60)) for seed in range(20)]
    )
    for proposal in proposals:
        written = proposal.text.removeprefix(step_opening(1)[:9])
        body = written.partition(".")[2]
        assert not any(stop in body for stop in ("### Step", "e", "</think>"))
        assert proposal.tokens <= 60
    assert {proposal.finish for proposal in proposals} >= {"stop"}


async def test_one_request_that_does_not_fit_fails_alone(engine: EmbeddedEngine) -> None:
    good = proposal_request(3)
    long = ProposalRequest("numbers " * 600, (), "### Step 1.", (), 5, temperature=0, seed=0)
    results = await asyncio.gather(
        engine.propose(good), engine.propose(long), return_exceptions=True
    )
    assert isinstance(results[0], Proposal)
    assert isinstance(results[1], ContextTooLong)
    assert "context of 512" in str(results[1])


async def test_a_proposal_stops_where_the_context_is_full(engine: EmbeddedEngine) -> None:
    used = await engine.prompt_tokens("")
    filler = step("", tuple([300] * (500 - used)), (await engine.describe()).identity)
    request = ProposalRequest("", (filler,), "", (), 100, temperature=0.5, seed=1)
    proposal = await engine.propose(request)
    assert proposal.tokens <= 12
    full = step("", tuple([300] * (512 - used)), (await engine.describe()).identity)
    with pytest.raises(ContextTooLong):
        await engine.propose(ProposalRequest("", (full,), "", (), 100, temperature=0.5, seed=1))


async def test_an_empty_answer_is_refused(engine: EmbeddedEngine) -> None:
    with pytest.raises(EngineError, match="empty answer"):
        await engine.answer_logprobs(AnswerRequest("q", (), ANSWER_PROBE, ("1", "")))


async def test_a_closed_engine_says_so(random_model: Path) -> None:
    engine = open_embedded(str(random_model))
    endless = ProposalRequest("q", (), "", (), 400, temperature=5, seed=1)
    waiting = asyncio.create_task(engine.propose(endless))
    await asyncio.sleep(0.02)
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await waiting
    with pytest.raises(EngineError, match="closed"):
        await engine.propose(proposal_request(1))


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))


def test_folders_that_hold_no_usable_model_are_named(random_model: Path, tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        return Path(shutil.copytree(random_model, tmp_path / name))

    no_template = broken("no-template")
    (no_template / "chat_template.jinja").unlink()
    no_weights = broken("no-weights")
    (no_weights / "model.safetensors").unlink()
    no_writer = broken("no-writer")
    change_config(no_writer, architectures=["BertForMaskedLM"], model_type="bert")
    own_code = broken("own-code")
    change_config(own_code, model_type="mine", auto_map={"AutoConfig": "mine.Mine"})
    too_deep = broken("too-deep")
    change_config(too_deep, num_hidden_layers=3)
    torn = broken("torn")
    (torn / "model.safetensors").write_bytes(b"\x00" * 100)
    for model, said in [
        (str(tmp_path / "nowhere"), "no folder .*nowhere"),
        (str(tmp_path), "no config.json"),
        ("cord:nobody", "ships no model named cord:nobody"),
        ("cord:../x", "ships no model"),
        (str(no_template), "no chat template"),
        (str(no_weights), "no pickled weights"),
        (str(no_writer), "BertForMaskedLM, not a causal"),
        (str(own_code), "cannot read .*config.json"),
        (str(too_deep), "lack 9 of the model's tensors"),
        (str(torn), "is no safetensors file"),
    ]:
        with pytest.raises(EngineError, match=said):
            open_embedded(model)


def test_larger_arithmetic_is_not_called_reproducible(random_model: Path) -> None:
    engine = open_embedded(str(random_model), dtype=torch.float32)
    info = asyncio.run(engine.describe())
    asyncio.run(engine.close())
    assert not info.reproducible and info.scores


@pytest.mark.skipif(not shipped_models(), reason="no shipped models in this checkout")
def test_the_shipped_models_load() -> None:
    for name in shipped_models().keys() - {"prm"}:
        engine = open_embedded(f"cord:{name}")
        info = asyncio.run(engine.describe())
        proposal = asyncio.run(engine.propose(proposal_request(0)))
        asyncio.run(engine.close())
        assert info.model == f"cord:{name}" and info.reproducible
        assert proposal.text.startswith("### Step")


@pytest.mark.slow
def test_a_program_that_forgets_to_close_still_ends(random_model: Path) -> None:
    program = (
        "import asyncio\n"
        "from cord.engines.embedded.engine import open_embedded\n"
        f"engine = open_embedded({str(random_model)!r})\n"
        "print(asyncio.run(engine.prompt_tokens('q')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
