import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.prompts import INSTRUCTIONS
from cord.thinking import form_of, without_closed_thinking

TAGS = form_of("<|assistant|>")
CHANNELS = form_of("<|start|>user<|message|>q<|end|><|start|>assistant")
TO_FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"
PIECES = ["a", "\n", "</think>", "<think>", "<|end|>", "<|start|>", "assistant", "<|channel|>"]
PIECES += ["final", "<|message|>", TO_FINAL, "### Step 2."]


@pytest.mark.parametrize(
    ("rendered", "opening", "channels"),
    [
        ("<｜User｜>q<｜Assistant｜><think>\n", "", False),
        ("<|im_start|>assistant\n<think>\n", "", False),
        ("<｜Assistant｜><think>", "\n", False),
        ("<|im_start|>assistant\n", "<think>\n", False),
        ("<|im_start|>assistant<|im_sep|>", "<think>\n", False),
        ("<|start|>assistant", "<|channel|>analysis<|message|>", True),
        ("<|start|>assistant<|channel|>analysis<|message|>", "", True),
    ],
)
def test_the_form_is_read_off_the_end_of_the_rendered_chat(rendered, opening, channels):
    form = form_of(rendered)
    assert (form.opening, form.channels) == (opening, channels)


def test_models_with_tags_read_and_write_cords_own_words():
    text = "### Step 1. a</think>\n\nb"
    assert TAGS.native(text) == TAGS.canonical(text) == TAGS.whole(text) == text


@pytest.mark.parametrize("gap", ["", "\n", "\n\n"])
def test_a_closing_tag_becomes_a_change_of_channel(gap):
    assert CHANNELS.native(f"a\n</think>{gap}b") == f"a\n{TO_FINAL}b"


def test_a_change_of_channel_becomes_a_closing_tag():
    assert CHANNELS.canonical(f"a\n{TO_FINAL}b") == "a\n</think>\n\nb"


@given(st.lists(st.sampled_from(["a", "\n", "</think>\n\n", "b ", "### Step 1."]), max_size=8))
def test_what_is_translated_comes_back(parts):
    text = "".join(parts)
    if "</think>\n\n\n" not in text:
        assert CHANNELS.canonical(CHANNELS.native(text)) == text


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_whatever_is_written_its_whole_part_is_a_beginning_of_it(parts):
    written = "".join(parts)
    whole = CHANNELS.whole(written)
    assert written.startswith(whole)
    assert CHANNELS.whole(whole) == whole
    assert not CHANNELS.canonical(written).endswith("<|end|>")


@pytest.mark.parametrize("closed", ["<think>\n\n</think>\n\n", "</think>", "<think></think>\n"])
def test_thinking_that_is_closed_at_once_is_taken_away(closed):
    assert without_closed_thinking("<|assistant|>" + closed) == "<|assistant|>"
    assert without_closed_thinking("q</think>\n<|assistant|>") == "q</think>\n<|assistant|>"


def test_a_model_on_channels_is_told_of_channels_and_one_with_tags_of_tags():
    assert "think>" not in CHANNELS.worded(INSTRUCTIONS)
    assert "close it by going on to the final channel and end" in CHANNELS.worded(INSTRUCTIONS)
    assert CHANNELS.worded(CHANNELS.worded(INSTRUCTIONS)) == CHANNELS.worded(INSTRUCTIONS)
    assert TAGS.worded(INSTRUCTIONS) == INSTRUCTIONS


def test_a_model_that_says_the_same_control_token_for_ever_is_read_in_linear_time() -> None:
    form = form_of("<|start|>assistant")
    begun = time.process_time()
    for unit in ("<|end|>", "<|end|><|start|>x", "<|end|><|start|>assistant<|channel|>x"):
        text = "a" + unit * 20_000
        assert form.whole(text) == "a"
        assert form.whole(text + "<b") == text + "<b"
    assert time.process_time() - begun < 5  # quadratic would take minutes
