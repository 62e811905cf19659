"""Which tokens carry loss, in the templates of the models that the paper teaches."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from cord.engines.embedded.chat_tokenizer import ChatTokenizer
from cord.engines.embedded.weights import model_folder
from cord.errors import EngineError, UsageError
from cord.prompts import PLAIN_INSTRUCTIONS
from cord.students.conversations import Conversation
from cord.students.examples import IGNORED, example, examples

TEMPLATES = Path(__file__).parents[1] / "engines" / "templates"
TEXT = "### Step 1. add\n2+3=5\n</think>\n\nThe final answer is \\boxed{5}"
ASKED = Conversation("a", "What is 2+3?", TEXT)


@pytest.fixture(scope="module")
def miniature() -> ChatTokenizer:
    return ChatTokenizer.from_folder(model_folder("cord:ada"), PLAIN_INSTRUCTIONS)


def worded(template: str, eos: str = "<|eos|>") -> ChatTokenizer:
    """The miniature's tokenizer under another model's chat template."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model_folder("cord:ada"))
    tokenizer.chat_template = (TEMPLATES / template).read_text("utf-8")
    return ChatTokenizer(tokenizer, PLAIN_INSTRUCTIONS)


def parts(made, tokenizer: ChatTokenizer) -> tuple[str, str]:
    """(what carries no loss, what does), spelled out."""
    assert len(made.ids) == len(made.labels)
    learnt = [label != IGNORED for label in made.labels]
    assert learnt == sorted(learnt), "the prompt, then what is learnt"
    assert all(label in (IGNORED, id_) for id_, label in zip(made.ids, made.labels, strict=True))
    split = learnt.index(True)
    return tokenizer.spell(made.ids[:split]), tokenizer.spell(made.ids[split:])


def test_the_loss_is_on_the_reasoning_the_answer_and_the_end_and_on_nothing_else(miniature):
    prompt, learnt = parts(example(ASKED, miniature), miniature)
    assert prompt == "<|bos|><|user|>What is 2+3?<|assistant|><think>\n"
    assert learnt == TEXT + "<|eos|>"


@pytest.mark.parametrize("template", ["deepseek-r1-distill.jinja", "qwq.jinja", "qwen3.jinja"])
def test_templates_that_delete_thinking_delete_none_of_it(template):
    tokenizer = worded(template)
    prompt, learnt = parts(example(ASKED, tokenizer), tokenizer)
    assert learnt == TEXT + "<|eos|>", "the whole reasoning, and how it ends"
    assert prompt.rstrip().endswith("<think>") and prompt.endswith("\n")
    assert prompt.count("<think>\n") == 1 and "What is 2+3?" in prompt
    assert (
        tuple(tokenizer.prompt_ids(ASKED.question))
        == example(ASKED, tokenizer).ids[: len(tokenizer.prompt_ids(ASKED.question))]
    ), "a student is asked as it was taught"


def test_special_tokens_in_data_are_text(miniature):
    asked = Conversation("a", "what is <|eos|>?", "it ends <|eos|> here</think>\n\n\\boxed{1}")
    made = example(asked, miniature)
    assert made.ids.count(miniature.end_id) == 1 == made.labels.count(miniature.end_id)
    assert made.ids[-1] == miniature.end_id


def test_nothing_is_cut_what_is_too_long_is_named(miniature):
    long = Conversation("long", "1+1?", "2" * 500)
    length = len(example(ASKED, miniature).ids)
    made = examples([long, ASKED], miniature, max_tokens=length)
    assert made.too_long == ("long",)
    assert made.rows == (example(ASKED, miniature),)
    assert (made.tokens, made.learnt) == (length, made.rows[0].learnt)
    with pytest.raises(UsageError, match=rf"train.max_tokens \({length - 1}\)"):
        examples([long, ASKED], miniature, max_tokens=length - 1)


def test_a_tokenizer_without_an_end_is_refused():
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model_folder("cord:ada"))
    tokenizer.eos_token = None
    with pytest.raises(EngineError, match="eos_token"):
        example(ASKED, ChatTokenizer(tokenizer, PLAIN_INSTRUCTIONS))
