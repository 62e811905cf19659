import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.search.beam import Draft, grow, merge, rank, scored, select, value
from cord.types import Candidate, Step, Trajectory


def step(text: str, score: float = 0.5, teacher: str = "ada") -> Step:
    return Step(text, teacher, (teacher,), (), "m", 1, score, 0.0)


def candidate(beam: int, text: str, score: float, finished: bool = False) -> Candidate:
    return Candidate(beam, step(text, score), finished, "1" if finished else None)


def finished(score: float) -> Trajectory:
    return Trajectory((step("done", score),), finished=True, answer="1")


EMPTY = Trajectory()


def test_the_top_candidates_live_on_best_first() -> None:
    beam, marked = select(
        [EMPTY], [candidate(0, t, s) for t, s in zip("abc", (0.2, 0.9, 0.5), strict=True)], 2
    )
    assert [t.text for t in beam] == ["b", "c"]
    assert [c.kept for c in marked] == [False, True, True]


def test_a_finished_trajectory_keeps_its_place_while_its_score_does() -> None:
    beam, _ = select([finished(0.6), EMPTY], [candidate(1, "a", 0.7), candidate(1, "b", 0.5)], 2)
    assert [t.text for t in beam] == ["a", "done"]
    beam, _ = select([finished(0.6), EMPTY], [candidate(1, "a", 0.7), candidate(1, "b", 0.65)], 2)
    assert [t.text for t in beam] == ["a", "b"]


def test_equal_scores_keep_the_order_of_beam_and_teacher() -> None:
    beam, _ = select([EMPTY, EMPTY], [candidate(0, "a", 0.5), candidate(1, "b", 0.5)], 1)
    assert [t.text for t in beam] == ["a"]


def test_the_same_text_from_two_teachers_is_one_candidate_with_both_authors() -> None:
    drafts = [Draft(0, EMPTY, step("x", teacher=t), False, None) for t in ("ada", "ben", "ada")]
    (merged,) = merge(drafts)
    assert (merged.step.teacher, merged.step.authors) == ("ada", ("ada", "ben"))


def test_the_same_step_on_different_prefixes_stays_two_candidates() -> None:
    other = Trajectory((step("p"),))
    assert (
        len(
            merge(
                [Draft(0, EMPTY, step("x"), False, None), Draft(1, other, step("x"), False, None)]
            )
        )
        == 2
    )


def test_the_gain_is_the_difference_of_log_scores() -> None:
    prefix = Trajectory((step("p", 0.25),))
    made = scored(Draft(0, prefix, step("x", 0.0), False, None), 0.5)
    assert made.step.score == 0.5
    assert made.step.gain == pytest.approx(math.log(2))


@pytest.mark.parametrize("score", [float("nan"), 1.5, -0.1, float("inf")])
def test_no_number_is_invented_for_a_score_that_is_none(score: float) -> None:
    with pytest.raises(ValueError, match="score"):
        scored(Draft(0, EMPTY, step("x"), False, None), score)


def test_finished_trajectories_rank_before_better_scored_unfinished_ones() -> None:
    open_one = Trajectory((step("open", 0.9),))
    assert [t.text for t in rank([open_one, finished(0.3)])] == ["done", "open"]


scores = st.floats(0.001, 1.0)


@given(
    st.lists(st.tuples(scores, st.booleans()), max_size=20),
    st.lists(scores, max_size=4),
    st.integers(1, 6),
)
def test_no_dropped_trajectory_scores_higher_than_a_kept_one(
    proposals: list[tuple[float, bool]], done: list[float], width: int
) -> None:
    start = [*map(finished, done), EMPTY]
    candidates = [candidate(len(done), f"c{i}", s, f) for i, (s, f) in enumerate(proposals)]
    beam, marked = select(start, candidates, width)
    pool = [finished(s) for s in done] + [grow(EMPTY, c) for c in candidates]
    assert len(beam) == min(width, len(pool))
    assert [t.score for t in beam] == sorted((t.score for t in pool), reverse=True)[:width]
    assert sum(c.kept for c in marked) == sum(1 for t in beam if t.text.startswith("c"))


def path(*scores: float, start: float = 0.5) -> Trajectory:
    return Trajectory(tuple(step("s", score) for score in scores), start_score=start)


def test_the_value_of_a_path_by_hand() -> None:
    fell = path(0.8, 0.1, 0.4)
    assert value(fell, "last") == pytest.approx(math.log(0.4))
    assert value(fell, "mean") == pytest.approx(math.log(0.8 * 0.1 * 0.4) / 3)
    assert value(fell, "steady") == pytest.approx(math.log(0.4) - math.log(0.8 / 0.1))
    assert value(path(0.25), "steady") == pytest.approx(math.log(0.25) - math.log(2)), "at once"
    for by in ("last", "mean", "steady"):
        assert value(path(), by) == pytest.approx(math.log(0.5))


@given(st.lists(st.floats(1e-9, 1.0), max_size=8), st.floats(1e-9, 1.0))
def test_a_path_is_worth_at_most_its_last_step_and_that_where_it_never_fell(
    scores: list[float], start: float
) -> None:
    rising = path(*sorted(s for s in scores if s >= start), start=start)
    assert value(rising, "steady") == value(rising, "last")
    assert value(path(*scores, start=start), "steady") <= value(path(*scores, start=start), "last")


def test_ranked_by_the_mean_luck_at_the_end_does_not_pay() -> None:
    lucky, right = path(0.01, 1.0), path(0.6, 0.9)
    assert rank([lucky, right], "last")[0] is lucky
    assert rank([lucky, right], "mean")[0] is right
    assert rank([lucky, right], "steady")[0] is right
