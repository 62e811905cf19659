from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from cord.signals.leak import leaks_answer

QUESTION = "How many apples does Ann have, if she has 6 bags of 7 apples?"


def leaks(
    answer: str | None, first: str, question: str | None = QUESTION, steps: int = 3
) -> bool | None:
    thinking = f"### Step 1. {first}\n### Step 2. It is 6 * 7 = 42 in all, or \\frac{{3}}{{4}}."
    (found,) = leaks_answer(
        pa.array([question], pa.string()),
        pa.array([answer], pa.string()),
        pa.array([thinking], pa.large_string()),
        np.array([float(steps)]),
    ).to_pylist()
    return found


LEAKS = [
    ("42", "We have to show that it is 42."),
    ("\\frac{3}{4}", "I recall the answer, $\\dfrac{3}{4}$, from elsewhere"),
    ("1,000", "The result will be 1000 apples."),
    ("Option B", "This is option b, as is known."),
    ("3.14", "It should come out as 3.14."),
]


@pytest.mark.parametrize(("answer", "first"), LEAKS)
def test_an_answer_that_stands_in_the_first_step_leaks(answer: str, first: str) -> None:
    assert leaks(answer, first) is True


SOUND = [
    ("42", "Each bag has 7 apples, and there are six."),  # it comes in the second step
    ("42", "We multiply: 6 * 7 = 42."),  # it is computed
    ("42", "There are 142 or 420 or 4.2 of them."),  # other numbers
    ("4", "There are 4 of them."),  # one character
    ("3.14", "It takes 3 and 14."),
]


@pytest.mark.parametrize(("answer", "first"), SOUND)
def test_an_answer_that_comes_later_or_is_computed_does_not(answer: str, first: str) -> None:
    assert leaks(answer, first) is False


def test_an_answer_in_the_question_or_of_a_single_step_does_not() -> None:
    assert leaks("42", "It is 42.", "Is it 42 or 43?") is False
    assert leaks("42", "It is 42.", steps=1) is False


def test_where_one_text_is_missing_nothing_is_said() -> None:
    assert leaks(None, "It is 42.") is None and leaks("42", "It is 42.", question=None) is None
