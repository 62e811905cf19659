import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from cord.miniature import tokenizer, wording
from cord.miniature.task import FLAWLESS, draw, steps

TOKENS = tokenizer.build()
texts = st.text() | st.lists(
    st.sampled_from([*tokenizer.WORDS, *tokenizer.SPECIALS, " ", "\n", "4", "é", " ."])
).map("".join)


def ids_of(text: str) -> list[int]:
    return TOKENS.encode(text, add_special_tokens=False)


@given(texts)
def test_no_text_is_changed_by_going_through(text):
    assert TOKENS.decode(TOKENS.encode(text)) == text


@given(st.integers(0, 2**32))
def test_a_solution_tokenises_the_same_in_parts(seed):
    rng = random.Random(seed)
    puzzle = draw(rng)
    written = steps(puzzle, FLAWLESS, rng)
    bodies = [step.partition(".") for step in written]
    parts = [wording.prompt(puzzle.question), wording.THINK]
    # Cut at headings, at blank lines and at reflection cues.
    cut = re.compile(r"(\n\n|\nWait)")
    parts += [p for head, dot, body in bodies for p in (head + dot, *cut.split(body)) if p]
    parts += [wording.PROBE, puzzle.answer, "}", wording.EOS]
    whole = wording.prompt(puzzle.question) + wording.response(written, puzzle.answer)
    assert "".join(parts) == whole
    assert [token for part in parts for token in ids_of(part)] == ids_of(whole)


def test_digits_and_the_words_of_the_form_are_single_tokens():
    assert all(len(ids_of(word)) == 1 for word in [*"0123456789", *tokenizer.WORDS])
    assert len(ids_of("2026")) == 4
    assert len(TOKENS) <= 512


def test_the_chat_template_is_the_prompt_and_leaves_instructions_out():
    messages = [
        {"role": "system", "content": "Reason in steps."},
        {"role": "user", "content": "Start 1; +2"},
    ]
    rendered = TOKENS.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert rendered == wording.prompt("Start 1; +2")


def test_the_chat_template_renders_a_whole_conversation():
    written = wording.response(["### Step 1. 1+2=3\n"], "3")
    messages = [
        {"role": "user", "content": "Start 1; +2"},
        {"role": "assistant", "content": written.removesuffix(wording.EOS)},
    ]
    rendered = TOKENS.apply_chat_template(messages, tokenize=False)
    assert rendered == wording.prompt("Start 1; +2") + written


@pytest.fixture(scope="module")
def reloaded(tmp_path_factory) -> PreTrainedTokenizerFast:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(TOKENS, folder)
    return AutoTokenizer.from_pretrained(folder)


@given(text=texts)
def test_a_saved_tokenizer_is_the_same(reloaded, text):
    assert reloaded.encode(text) == TOKENS.encode(text)
    assert reloaded.decode(reloaded.encode(text)) == text
