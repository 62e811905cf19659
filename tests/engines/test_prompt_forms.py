"""What reasoning models read, word for word: prompt, first step, answer probe, after the models'
own chat templates (see templates/README.md), embedded and on a vLLM server alike."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from doubles.templated_answers import TemplatedAnswers
from doubles.vllm_answers import completion
from engines.asking import asking
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from cord.engines import AnswerRequest
from cord.engines.embedded.chat_tokenizer import ChatTokenizer
from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.server import Patience, VllmServer
from cord.engines.vllm.tokens import VllmTokenizer
from cord.errors import EngineError
from cord.prompts import ANSWER_PROBE, INSTRUCTIONS
from cord.types import Step

TEMPLATES = Path(__file__).parent / "templates"
QUESTION = "What is 1+1?"
STEP = "### Step 1. Add\n1+1=2\n"
ASKED = "Think in sections '### Step n.', then close with </think> and \\boxed{...}."
QUICK = Patience(total_s=2.0, first_wait_s=0.01, longest_wait_s=0.05, first_contact_s=0.2)


@dataclass(frozen=True)
class Model:
    """A template, the tokens that its model reads as one, and the whole golden text."""

    template: str
    special: tuple[str, ...]
    plain: tuple[str, ...]
    """One token each, but not marked as special."""
    golden: str
    bos: str | None = None


CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<think>", "</think>")
R1 = """\
<｜begin▁of▁sentence｜>Think in sections '### Step n.', then close with </think> and \\boxed{...}.\
<｜User｜>What is 1+1?<｜Assistant｜><think>
### Step 1. Add
1+1=2
</think>

The final answer is \\boxed{"""
QWEN = """\
<|im_start|>system
Think in sections '### Step n.', then close with </think> and \\boxed{...}.<|im_end|>
<|im_start|>user
What is 1+1?<|im_end|>
<|im_start|>assistant
<think>
### Step 1. Add
1+1=2
</think>

The final answer is \\boxed{"""
PHI = """\
<|im_start|>system<|im_sep|>You are Phi, a language model trained by Microsoft to help users. \
[...]<|im_end|>\
<|im_start|>user<|im_sep|>\
Think in sections '### Step n.', then close with </think> and \\boxed{...}.

What is 1+1?<|im_end|><|im_start|>assistant<|im_sep|><think>
### Step 1. Add
1+1=2
</think>

The final answer is \\boxed{"""
GPT_OSS = """\
<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.
Knowledge cutoff: 2024-06
Current date: 2026-01-01

Reasoning: medium

# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>\
<|start|>developer<|message|># Instructions

Think in sections '### Step n.', then close by going on to the final channel and \\boxed{...}.

<|end|><|start|>user<|message|>What is 1+1?<|end|>\
<|start|>assistant<|channel|>analysis<|message|>### Step 1. Add
1+1=2
<|end|><|start|>assistant<|channel|>final<|message|>The final answer is \\boxed{"""

BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
HARMONY = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>")
MODELS = {
    "DeepSeek-R1-Distill": Model(
        "deepseek-r1-distill", (BOS, EOS), ("<｜User｜>", "<｜Assistant｜>", *TAGS), R1, BOS
    ),
    "QwQ-32B": Model("qwq", CHATML, TAGS, QWEN),
    "Qwen3": Model("qwen3", CHATML, TAGS, QWEN),
    "Qwen3-Thinking-2507": Model("qwen3-thinking", CHATML, TAGS, QWEN),
    "Phi-4-reasoning-plus": Model("phi-4-reasoning-plus", (*CHATML, "<|im_sep|>"), (), PHI),
    "Phi-4-reasoning, tags as tokens": Model(
        "phi-4-reasoning-plus", (*CHATML, "<|im_sep|>", *TAGS), (), PHI
    ),
    "Phi-4-reasoning, a conversion": Model(
        "phi-4-reasoning-lost-question", (*CHATML, "<|im_sep|>"), (), PHI
    ),
    "gpt-oss": Model("gpt-oss", HARMONY, (), GPT_OSS),
}


def tokenizer_of(model: Model) -> PreTrainedTokenizerFast:
    """A small tokenizer that knows English words, with the model's own tokens and template."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        [INSTRUCTIONS, ASKED, QUESTION, STEP],
        trainers.BpeTrainer(
            vocab_size=600,
            min_frequency=1,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    backend.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t in model.special]
    )
    backend.add_tokens([AddedToken(t, normalized=False) for t in model.plain])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=model.bos,
        clean_up_tokenization_spaces=False,
        chat_template=(TEMPLATES / f"{model.template}.jinja").read_text(encoding="utf-8"),
    )


def on_new_years_day(prompt: str) -> str:
    """gpt-oss' template writes today's date."""
    return re.sub(r"Current date: [\d-]{10}", "Current date: 2026-01-01", prompt)


def a_step(text: str, ids: tuple[int, ...] = (), model: str = "another") -> Step:
    return Step(text, "t", ("t",), ids, model, 1, 0.5, 0.0)


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def model(request: pytest.FixtureRequest) -> Model:
    return request.param


def test_the_embedded_model_reads_the_golden_text(model: Model) -> None:
    tokenizer = ChatTokenizer(tokenizer_of(model), ASKED)
    ids = (*tokenizer.prompt_ids(QUESTION), *tokenizer.text_ids(STEP))
    read = tokenizer.spell((*ids, *tokenizer.text_ids(ANSWER_PROBE)))
    assert on_new_years_day(read) == model.golden


async def test_a_model_on_a_vllm_server_reads_the_golden_text(model: Model) -> None:
    tokenizer = tokenizer_of(model)
    with TemplatedAnswers(tokenizer) as server:
        engine = VllmEngine(server.url, "m", instructions=ASKED, patience=QUICK)
        server.completions.append(completion("x", [tokenizer("x").input_ids[-1]], "length"))
        await engine.propose(asking(question=QUESTION))
        await engine.answer_logprobs(AnswerRequest(QUESTION, (a_step(STEP),), ANSWER_PROBE, ("2",)))
        await engine.close()
    sent = server.asked("/v1/completions")
    proposing = next(body["prompt"] for body in sent if "stop" in body)
    scoring = sent[-1]["prompt"] if "prompt_logprobs" not in sent[-1] else sent[-1]["prompt"][0]
    asked, scored = (on_new_years_day(tokenizer.decode(ids)) for ids in (proposing, scoring))
    assert asked == model.golden.partition(" Add\n")[0]
    assert scored.removesuffix("2") == model.golden


def test_every_token_of_the_models_own_is_one_token_in_its_prompt(model: Model) -> None:
    tokenizer = tokenizer_of(model)
    chat = ChatTokenizer(tokenizer, ASKED)
    ids = (*chat.prompt_ids(QUESTION), *chat.text_ids(STEP + ANSWER_PROBE))
    for token in (*model.special, *model.plain):
        assert ids.count(tokenizer.convert_tokens_to_ids(token)) == model.golden.count(token), token


def test_both_engines_put_the_same_ids_to_a_model(model: Model) -> None:
    tokenizer = tokenizer_of(model)
    chat = ChatTokenizer(tokenizer, ASKED)
    assert _on_vllm(tokenizer, lambda t: t.prompt_ids(QUESTION)) == chat.prompt_ids(QUESTION)
    for text in (STEP, ANSWER_PROBE, "a</think>\n\nb"):
        assert _on_vllm(tokenizer, lambda t, text=text: t.ids(text)) == chat.text_ids(text)


@pytest.mark.parametrize("on_vllm", [False, True])
def test_the_models_own_tokens_in_a_question_or_a_step_stay_text(
    model: Model, on_vllm: bool
) -> None:
    tokenizer = tokenizer_of(model)
    chat = ChatTokenizer(tokenizer, ASKED)
    markers = [t for t in (*model.special, *model.plain) if t not in TAGS]
    spoken = "a" + "b".join(markers) + "c"
    if on_vllm:
        prompt = _on_vllm(tokenizer, lambda t: t.prompt_ids(spoken))
        step = _on_vllm(tokenizer, lambda t: t.ids(spoken))
    else:
        prompt, step = chat.prompt_ids(spoken), chat.text_ids(spoken)
    for marker in markers:
        number = tokenizer.convert_tokens_to_ids(marker)
        assert step.count(number) == 0
        assert prompt.count(number) == chat.prompt_ids(QUESTION).count(number), marker
    assert chat.spell(step) == spoken and spoken in chat.spell(prompt)


def _on_vllm(
    tokenizer: PreTrainedTokenizerFast, use: Callable[[VllmTokenizer], object]
) -> tuple[int, ...]:
    async def ids() -> object:
        served = VllmServer(server.url, "m", None, QUICK)
        try:
            return await use(VllmTokenizer(served, ASKED))  # type: ignore[misc]
        finally:
            await served.close()

    with TemplatedAnswers(tokenizer) as server:
        return asyncio.run(ids())  # type: ignore[return-value]


# -- templates' other ways ------------------------------------------------------------------------


def tokenizer_with(template: str) -> PreTrainedTokenizerFast:
    tokenizer = tokenizer_of(MODELS["Qwen3"])
    tokenizer.chat_template = template
    return tokenizer


NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}<|im_start|>{{ messages[0].content }}<|im_end|>"
)


async def test_a_template_that_refuses_a_system_message_gets_the_instructions_with_the_question():
    tokenizer = tokenizer_with(NO_SYSTEM)
    said = f"<|im_start|>{ASKED}\n\n{QUESTION}<|im_end|><think>\n"
    chat = ChatTokenizer(tokenizer, ASKED)
    assert chat.spell(chat.prompt_ids(QUESTION)) == said
    ids = _in_thread(lambda: _on_vllm(tokenizer, lambda t: t.prompt_ids(QUESTION)))
    assert tokenizer.decode(await ids) == said


@pytest.mark.parametrize("template", ["<|im_start|>", "{{ raise_exception('no') }}"])
async def test_a_template_that_leaves_out_the_question_or_refuses_all_is_refused(template):
    tokenizer = tokenizer_with(template)
    with pytest.raises(EngineError, match=r"chat template of .*(leaves out|refuses)"):
        ChatTokenizer(tokenizer, ASKED).prompt_ids(QUESTION)
    with pytest.raises(EngineError, match=r"leaves out the question|refused the request .*no"):
        await _in_thread(lambda: _on_vllm(tokenizer, lambda t: t.prompt_ids(QUESTION)))


async def test_thinking_that_the_server_switched_off_is_switched_on():
    tokenizer = tokenizer_of(MODELS["Qwen3"])
    with TemplatedAnswers(tokenizer, enable_thinking=False) as server:
        engine = VllmEngine(server.url, "m", instructions=ASKED, patience=QUICK)
        ids = await engine._tokenizer.prompt_ids(QUESTION)
        await engine.close()
    assert QWEN.startswith(tokenizer.decode(ids)) and tokenizer.decode(ids).endswith("<think>\n")


@pytest.mark.parametrize("closed", ["<think>\n\n</think>\n\n", "<think>\n</think>", "</think>"])
async def test_thinking_that_a_template_closes_at_once_is_opened_again(closed):
    tokenizer = tokenizer_with("<|im_start|>{{ messages[-1].content }}\n" + closed)
    chat = ChatTokenizer(tokenizer, ASKED)
    said = f"<|im_start|>{ASKED}\n\n{QUESTION}\n<think>\n"
    assert chat.spell(chat.prompt_ids(QUESTION)) == said
    ids = _in_thread(lambda: _on_vllm(tokenizer, lambda t: t.prompt_ids(QUESTION)))
    assert tokenizer.decode(await ids) == said


def _in_thread(do: Callable[[], tuple[int, ...]]):
    return asyncio.to_thread(do)


# -- gpt-oss' channels ----------------------------------------------------------------------------

TO_FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("written", "finish", "canonical", "own_text"),
    [
        pytest.param(
            " Add\n" + TO_FINAL + "It is \\boxed{2}<|return|>",
            "stop",
            "### Step 1. Add\n</think>\n\nIt is \\boxed{2}",
            "### Step 1. Add\n" + TO_FINAL + "It is \\boxed{2}",
            id="the thinking closes and the answer is stated",
        ),
        pytest.param(
            " Add\n<|end|><|start|>assistant<|channel|>analysis<|message|>more",
            "length",
            "### Step 1. Add\n\n\nmore",
            "### Step 1. Add\n<|end|><|start|>assistant<|channel|>analysis<|message|>more",
            id="a second message of thinking",
        ),
        pytest.param(
            " Add\n<|end|><|start|>assistant<|channel|>fin",
            "length",
            "### Step 1. Add\n",
            "### Step 1. Add\n",
            id="the change to the answer is cut off by the cap",
        ),
        pytest.param(
            " Add\n<|end|><|start|>assistant to=functions.f<|channel|>commentary json<|message|>{}",
            "length",
            "### Step 1. Add\n",
            "### Step 1. Add\n",
            id="a call of a tool that is not there",
        ),
    ],
)
async def test_what_gpt_oss_writes_becomes_cords_words_and_its_own_ids_stay(
    written: str, finish: str, canonical: str, own_text: str
) -> None:
    tokenizer = tokenizer_of(MODELS["gpt-oss"])
    sampled = tokenizer(written).input_ids
    text = written.removesuffix("<|return|>")
    with TemplatedAnswers(tokenizer) as server:
        engine = VllmEngine(server.url, "m", instructions=ASKED, patience=QUICK)
        server.completions.append(completion(text, sampled, finish, None))
        proposal = await engine.propose(asking(question=QUESTION))
        await engine.close()
    assert proposal.text == canonical
    assert tokenizer.decode(proposal.token_ids) == own_text
    assert proposal.tokens == len(sampled)


def test_a_finished_step_of_another_model_is_put_to_gpt_oss_on_its_channels() -> None:
    chat = ChatTokenizer(tokenizer_of(MODELS["gpt-oss"]), ASKED)
    ids = chat.text_ids("a\n</think>\n\nThe final answer")
    assert chat.spell(ids) == "a\n" + TO_FINAL + "The final answer"


def test_an_embedded_model_on_channels_may_write_them() -> None:
    tokenizer = tokenizer_of(MODELS["gpt-oss"])
    chat = ChatTokenizer(tokenizer, ASKED)
    spoken = {tokenizer.convert_tokens_to_ids(t) for t in HARMONY} - chat.unspoken_ids
    assert tokenizer.convert_ids_to_tokens(sorted(spoken)) == list(HARMONY[:4])
    whole = " Add" + TO_FINAL + "2"
    assert chat.canonical(whole, (1, 2)) == (" Add</think>\n\n2", (1, 2))
    assert chat.canonical(" Add<|end|><|start|>", (1, 2)) == (" Add", ())
