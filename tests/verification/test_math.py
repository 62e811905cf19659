import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.verification import Verifier
from cord.verification.math import find_answer, judge_at_once, normalise, shown

MATH500 = Path(__file__).parents[3] / "shared" / "data" / "math500.jsonl"


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>\n2+2 is 5? No.\n</think>\n\nThe final answer is \\boxed{4}", "4"),
        ("The answer is 12. So there are twelve.", "12"),
        ("**Answer:**\n\n42\n", "42"),
        ("They add up.\n#### 72", "72"),
        ("It takes 2+1=3 bolts\nA: 3", "3"),
        ("Answer: 3.5 km.", "3.5 km"),
        ("\\frac{1}{2}", "\\frac{1}{2}"),
        ("1" * 1000, "1" * 1000),
    ],
)
def test_a_stated_answer_is_found(response: str, answer: str) -> None:
    assert find_answer(response) == answer


@pytest.mark.parametrize(
    "response",
    [
        "",
        " \n",
        "First 2+2.\nThat is 4.",
        "word " * 100,
        "<think>\nSo the answer is 4, or",
        "<think>\nThe answer is 4.\n</think>\n\nOne sum.\nAnother sum.",
    ],
)
def test_a_number_in_passing_is_no_stated_answer(response: str) -> None:
    assert find_answer(response) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$x$", "x"),
        (r"\(x + 1\)", "x+1"),
        (r"\left( 3, \dfrac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
        (r"\text{Evelyn}", "evelyn"),
        (r"10\,000", "10000"),
        ("4.", "4"),
    ],
)
def test_spellings_of_one_value_are_equal_at_once(one: str, other: str) -> None:
    verdict = judge_at_once(one, other)
    assert verdict is not None
    assert (verdict.outcome, verdict.method) == ("correct", "exact")


@pytest.mark.parametrize(
    ("one", "other"),
    [("12 34", "1234"), ("x+1", "x-1"), ("a b", "ab"), ("X", "x"), ("1,2", "12"), (".5", "5")],
)
def test_different_values_are_never_equal_at_once(one: str, other: str) -> None:
    assert judge_at_once(one, other) is None


@given(st.integers(), st.integers())
def test_whole_numbers_are_told_apart_without_mathematics(one: int, other: int) -> None:
    verdict = judge_at_once(str(one), str(other))
    assert verdict is not None
    assert verdict.outcome == ("correct" if one == other else "wrong")


def test_the_line_ends_of_a_matrix_stay() -> None:
    matrix = r"\begin{pmatrix} -1 \\ 2 \end{pmatrix}"
    assert r"\\" in normalise(matrix)


@settings(deadline=None)
@given(text=st.text())
def test_a_reason_can_be_printed_and_stored(text: str) -> None:
    line = shown(text)
    assert len(line) < 1000
    assert line.isprintable()
    line.encode()


@pytest.mark.skipif(not MATH500.exists(), reason="the real data are not here")
def test_every_solution_of_math500_states_its_answer_and_not_its_neighbours():
    rows = [json.loads(line) for line in MATH500.read_text("utf-8").split("\n") if line]
    assert len(rows) == 347
    neighbours = [(a["answer"], b["answer"]) for a, b in pairwise(rows)][:60]
    with Verifier(workers=1) as verifier:
        for row in rows:
            verdict = verifier.verify("math", row["solution"], row["answer"])
            assert verdict.outcome == "correct", verdict
        for one, other in neighbours:
            if normalise(one) != normalise(other):
                assert verifier.verify("math", one, other).outcome == "wrong", (one, other)
