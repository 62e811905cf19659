"""Figures behind the pictures, on cases that can be counted by hand."""

import pytest

from cord.report.curves import by_difficulty, wilson


def test_difficulty_is_in_classes_of_equal_size_hardest_first() -> None:
    judged = [(n / 100, n >= 50) for n in range(100)]
    classes = by_difficulty(judged[::-1])
    assert [one["class"] for one in classes] == list(range(1, 11))
    assert [one["accuracy"] for one in classes] == [0.0] * 5 + [1.0] * 5
    assert {one["problems"] for one in classes} == {10}
    assert (classes[0]["from"], classes[0]["to"]) == (0.0, 0.09)


def test_few_problems_make_few_classes() -> None:
    assert by_difficulty([(0.1, True)] * 11) == []
    assert len(by_difficulty([(0.1, True)] * 13)) == 2


def test_wilsons_interval_is_that_of_the_textbook() -> None:
    low, high = wilson(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == pytest.approx(1.0)
