from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.signals.thinking_form import FORMS, parts_of, thinking_forms, truncated

CASES = {
    "a</think>\n\nb": "tagged",
    "a": "unclosed",
    "": "unclosed",
    "a<think>b</think>c": "reopened",
    "a</think>b<think>": "reopened",
    "a</think>b</think>c": "closed-again",
    " \n</think>b": "no-thinking",
    "a</think> \u2003\n": "no-answer",
}


def form(text: str | None) -> str | None:
    texts = pa.array([text], pa.large_string())
    (found,) = thinking_forms(texts, parts_of(texts)).to_pylist()
    return found


def is_truncated(text: str | None, finished: bool | None = True) -> bool | None:
    parts = parts_of(pa.array([text], pa.large_string()))
    (found,) = truncated(pa.array([finished], pa.bool_()), parts).to_pylist()
    return found


@pytest.mark.parametrize("text", CASES)
def test_each_form_is_told(text: str) -> None:
    assert form(text) == CASES[text]


def test_no_form_is_left_out_and_no_text_has_none() -> None:
    assert {*CASES.values()} == {*FORMS}
    assert form(None) is None


@given(st.lists(st.none() | st.lists(st.sampled_from(["</think>", "a", "\n", "é"])).map("".join)))
def test_thinking_and_answer_are_what_partition_gives(texts: list[str | None]) -> None:
    thinking, answer = parts_of(pa.array(texts, pa.large_string()))
    for place, text in enumerate(texts):
        before, tag, behind = (text or "").partition("</think>")
        assert thinking[place].as_py() == (None if text is None else before)
        assert answer[place].as_py() == (behind if tag else None)


@pytest.mark.parametrize(
    "text", ["a", "a</think>", "a</think> \n", "a</think>\\boxed{\\frac{1}{2}"]
)
def test_a_text_without_its_end_is_truncated(text: str) -> None:
    assert is_truncated(text) is True


def test_a_whole_text_is_not_unless_the_search_left_it_unfinished() -> None:
    whole = "a {</think>\n\nThe final answer is \\boxed{\\frac{1}{2}}."
    assert is_truncated(whole) is False and is_truncated(whole, None) is False
    assert is_truncated(whole, False) is True
    assert is_truncated(None) is None
