from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.recipe import PathBound
from cord.records import Judged, choose, worth
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
    assert "because" in chosen.aside[0].reason


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
        {q.trajectory.problem_id for q in chosen.aside},
    ]
    assert sorted(p for group in groups for p in group) == sorted(beams)


def on_path(problem: str, rank: int, *scores: float) -> Judged:
    plain = replace(judged(problem, rank, "correct"), score=scores[-1])
    return replace(plain, start_score=0.5, scores=scores)


def test_a_path_is_worth_the_geometric_mean_of_its_scores_or_its_end_less_its_fall() -> None:
    path = on_path("a", 0, 0.2, 0.8)
    assert worth(path, "mean") == pytest.approx(0.4)
    assert worth(path, "last") == pytest.approx(0.8)
    assert worth(path, "steady") == pytest.approx(0.8 * 0.2 / 0.5)


def test_what_lies_below_the_bound_is_set_aside_with_its_reason_and_another_one_stays() -> None:
    bound = PathBound(by="mean", at_least=0.4)
    lucky, sound = on_path("a", 0, 0.01, 0.9), on_path("a", 1, 0.6, 0.7)
    alone = choose([lucky], "best", bound)
    assert alone.records == alone.wrong == () and alone.below == (lucky,)
    assert alone.aside[0].stage == "records"
    assert "worth 0.09487 by mean, less than publish.path asks (0.4)" in alone.aside[0].reason
    both = choose([lucky, sound], "all", bound)
    assert both.records == (sound,) and both.below == (lucky,) and both.aside == ()


def test_a_path_that_an_older_cord_did_not_keep_is_told_as_unknown() -> None:
    old = judged("a", 0, "correct")
    chosen = choose([old], "best", PathBound(by="mean", at_least=0.1))
    assert chosen.records == () and "an older cord decoded it" in chosen.aside[0].reason
    assert choose([old], "best", PathBound(by="last", at_least=0.1)).records == (old,)
