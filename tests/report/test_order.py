"""Whose tree comes first: every kind is there, however few fit."""

from cord.report.lines import OUTCOMES, Line
from cord.report.order import by_interest


def line(number: int, outcome: str = "correct", score: float | None = 0.5) -> Line:
    return Line(
        f"p{number}", f"k{number}", None, "run", OUTCOMES.index(outcome), outcome == "correct",
        score, 0.1, 10, 100,
    )  # fmt: skip


def test_named_ones_lead_and_then_every_kind_in_turn() -> None:
    lines = [line(n, score=n / 200) for n in range(100)]
    lines[50] = line(50, "wrong", 0.3)
    lines[51] = line(51, "quarantined", None)
    order = by_interest(lines, {"p77"}, "seed")
    assert order[0] == 77
    early = order[:9]
    assert {50, 51} <= set(early), "troubled ones"
    assert {0, 99} <= set(early), "the lowest and the highest scored"
    assert sorted(order) == list(range(100)), "everybody, once"


def test_the_same_run_gives_the_same_order_and_another_one_another() -> None:
    lines = [line(n) for n in range(50)]
    assert by_interest(lines, (), "a") == by_interest(lines, (), "a") != by_interest(lines, (), "b")


def test_rows_that_became_no_problem_have_no_tree() -> None:
    row = Line("x", None, None, None, OUTCOMES.index("quarantined"), False, None, None, 0, 0)
    assert by_interest([row], (), "a") == []
    assert by_interest([], (), "a") == []
