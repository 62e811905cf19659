from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.records import Judged, choose, record_rows
from cord.types import Outcome


def judged(problem: str, rank: int, outcome: Outcome, finished: bool = True) -> Judged:
    return Judged(
        problem, rank, "q", "1", "### Step 1. x\n</think>\n\n1", ("ada",), 1, 5, 0.5, "r", "k",
        finished, outcome, "because",
    )  # fmt: skip


def test_best_keeps_the_first_ranked_only_if_it_is_correct() -> None:
    chosen = choose(
        [judged("a", 0, "correct"), judged("b", 0, "wrong"), judged("b", 1, "correct")], "best"
    )
    assert [r.problem_id for r in chosen.records] == ["a"]
    assert [r.problem_id for r in chosen.wrong] == ["b"]


def test_all_keeps_every_correct_one() -> None:
    chosen = choose([judged("b", 1, "correct"), judged("b", 0, "wrong")], "all")
    assert [(r.problem_id, r.rank) for r in chosen.records] == [("b", 1)]


def test_undecided_is_neither_right_nor_wrong() -> None:
    chosen = choose([judged("a", 0, "undecided")], "best")
    assert chosen.records == chosen.wrong == ()
    assert "because" in chosen.undecided[0].reason


outcomes = st.sampled_from(["correct", "wrong", "undecided"])
beams = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.tuples(outcomes, st.booleans()), min_size=1, max_size=4)
)


@given(beams, st.sampled_from(["best", "all"]))
@pytest.mark.filterwarnings("error")
def test_every_problem_ends_in_exactly_one_group(
    beams: dict[str, list[tuple[Outcome, bool]]], keep: Literal["best", "all"]
) -> None:
    rows = [judged(p, i, o, f) for p, beam in beams.items() for i, (o, f) in enumerate(beam)]
    chosen = choose(rows, keep)
    groups = [
        {r.problem_id for r in chosen.records},
        {r.problem_id for r in chosen.wrong},
        {q.problem_id for q in chosen.undecided},
    ]
    assert sorted(p for group in groups for p in group) == sorted(beams)


def test_a_record_is_a_conversation_with_the_trajectory_unchanged() -> None:
    (row,) = record_rows([judged("a", 0, "correct")])
    assert row["messages"] == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "<think>\n### Step 1. x\n</think>\n\n1"},
    ]
