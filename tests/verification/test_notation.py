"""One value in many notations; units, times of day and words."""

import pytest

from cord.verification.notation import familiar
from cord.verification.units import without_unit
from cord.verification.words import is_text, letters_of
from cord.verification.worker import judge


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("2√5", r"2\sqrt{5}"),
        ("(−∞, 2) ∪ (3, ∞)", r"(-\infty, 2) \cup (3, \infty)"),
        ("½", r"\frac{1}{2}"),
        (r"\lbrace 1, 2 \rbrace", r"\{2,1\}"),
        (r"x = 6 \text{ or } x = 8", "6,8"),
        (r"6\quad\text{and}\quad 8", "8, 6"),
        (r"3 < x \le 4", "(3,4]"),
        (r"15 \, cm^2", r"15\mbox{ cm}^2"),
        ("864", r"864 \mbox{ inches}^2"),
        (r"12\pi \text{ cm}", r"12\pi"),
        ("90°", r"90^\circ"),
        ("5 million", "5000000"),
        ("62.5 percent", "62.5%"),
        ("0.625", "62.5%"),
        ("62.5", "62.5%"),
        ("4:30 P.M.", r"\text{4:30 p.m.}"),
        ("east", r"\text{East}"),
        (r"m_{\max }=n^2-n-1", r"m_{\max }=n^{2}-n-1"),
        (r"\{1+\sqrt5, 1-\sqrt5,-2\}", r"\{1\pm\sqrt{5},-2\}"),
    ],
)
def test_a_value_is_itself_in_other_notations(answer, reference):
    verdict = judge(answer, reference)
    assert verdict.outcome == "correct", verdict


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("5 million", "5"),
        ("0.175", "17.5"),
        ("17", "17.5%"),
        ("seat", "east"),
        (r"4:30 \text{ a.m.}", r"4:30 \text{ p.m.}"),
        (r"3 \text{ dozen}", "3"),
        ("1 < x < 2", "(1,2)"),
        ("x=6, y=8", "6,9"),
    ],
)
def test_another_value_is_none_of_its_notations(answer, reference):
    verdict = judge(answer, reference)
    assert verdict.outcome == "wrong", verdict


def test_short_words_may_be_products_and_stay_mathematics():
    assert judge("ba", "ab").outcome == "correct"
    assert not is_text("xyz")
    assert not is_text("5 apples")
    assert is_text("Tuesday")
    assert letters_of(r"\text{4:30 p.m.}") == "4:30pm"


@pytest.mark.parametrize("answer", ["2i", r"\sin 3", "x + 3", r"\text{even}", "3 is even", ""])
def test_what_has_no_unit_stays_as_it_is(answer):
    assert without_unit(answer) == answer
    assert familiar(answer) == answer
