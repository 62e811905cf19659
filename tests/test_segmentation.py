import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.segmentation import segment

WAYS = ("prompt-guided", "reflection-cue", "line-break")
TRACE = (
    "<think>\n### Step 1. Read\nLet x be 2.\n\nWait, is it? Hmm.\n"
    "### Step 2. Add\n2+2=4. But then\n</think>\n\nThe final answer is \\boxed{4}"
)
TEXTS = st.lists(
    st.sampled_from(
        ["### Step", " 1.", "\n", "\n\n", " ", "\r\n", "Wait", "But", ". ", "</think>", "**", "ab"]
    )
    | st.text(max_size=5)
).map("".join)


@settings(deadline=None)
@given(text=TEXTS, how=st.sampled_from(WAYS))
def test_the_pieces_joined_are_the_text(text: str, how: str) -> None:
    pieces = segment(text, how)  # type: ignore[arg-type]
    assert "".join(pieces) == text
    assert all(pieces)


@settings(deadline=None)
@given(text=TEXTS, how=st.sampled_from(WAYS))
def test_a_piece_never_reaches_over_the_end_of_the_thinking(text: str, how: str) -> None:
    for piece in segment(text, how):  # type: ignore[arg-type]
        assert "</think>" not in piece[1:]


def test_a_prompt_guided_piece_begins_at_each_step_header() -> None:
    assert segment(TRACE) == [
        "<think>\n",
        "### Step 1. Read\nLet x be 2.\n\nWait, is it? Hmm.\n",
        "### Step 2. Add\n2+2=4. But then\n",
        "</think>\n\nThe final answer is \\boxed{4}",
    ]


@pytest.mark.parametrize("line", ["see ### Step 1", "#### Step 1", "### Steps to take", "###Step"])
def test_what_is_no_header_begins_no_piece(line: str) -> None:
    assert segment("a\n" + line) == ["a\n" + line]


def test_a_reflection_cue_begins_a_piece_only_where_a_sentence_begins() -> None:
    text = "So x=1. Wait, but is it? **Hmm.** I say But, and Waiting.\nAlternatively, no"
    assert segment(text, "reflection-cue") == [
        "So x=1. ",
        "Wait, but is it? ",
        "**Hmm.** I say But, and Waiting.\n",
        "Alternatively, no",
    ]


def test_a_paragraph_keeps_the_blank_lines_behind_it() -> None:
    text = "\n\na\nb\n\nc\n \t\n\nd\r\n\r\ne"
    assert segment(text, "line-break") == ["\n\na\nb\n\n", "c\n \t\n\n", "d\r\n\r\n", "e"]


def test_an_unknown_way_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="prompt-guided, reflection-cue, line-break"):
        segment("a", "sentences")  # type: ignore[arg-type]


@pytest.mark.parametrize("how", WAYS)
def test_hostile_texts_take_linear_time(how: str) -> None:
    begin = time.perf_counter()
    for unit in ("\n", " \n", "Wait", "*Wait ", "\n### Step", "</think>", "(" * 50):
        segment(unit * 200_000 + "Wait", how)  # type: ignore[arg-type]
    assert time.perf_counter() - begin < 30  # quadratic would take hours
