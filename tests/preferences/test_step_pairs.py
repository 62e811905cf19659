import math
from dataclasses import replace

import pytest

from cord.preferences import Replayed, StepPair, step_pairs
from cord.types import Candidate, Step, Trajectory

START = Trajectory(start_score=0.5)


def step(text: str, score: float, complete: bool = True) -> Step:
    return Step(text, text[0], (text[0],), (), "m", 1, score, 0.0, complete)


def behind(text: str) -> Trajectory:
    return replace(START, steps=(step(text, 0.5),))


def proposal(text: str, score: float, kept: bool = False, complete: bool = True) -> Candidate:
    return Candidate(0, step(text, score, complete), kept=kept)


def a_round(index: int, *candidates: tuple[Trajectory, Candidate]) -> Replayed:
    return Replayed(index, candidates)


def told(pairs: list[StepPair]) -> list[tuple[str, str, str]]:
    return [(pair.prefix, pair.chosen.text, pair.rejected.text) for pair in pairs]


ROUND = a_round(
    1,
    (behind("p"), proposal("a", 0.8, kept=True)),
    (behind("p"), proposal("b", 0.6, kept=True)),
    (behind("p"), proposal("c", 0.4)),
    (behind("p"), proposal("d", 0.1)),
    (behind("p"), proposal("e", 0.2)),
    (behind("q"), proposal("f", 0.3)),
    (behind("q"), proposal("g", 0.2)),
)


def test_the_best_kept_one_is_set_against_the_dropped_ones_the_widest_gap_first() -> None:
    pairs = list(step_pairs([ROUND], 0.0, 2))
    assert told(pairs) == [("p", "a", "d"), ("p", "a", "e")], "of q nothing was kept"
    assert pairs[0].gap == pytest.approx(math.log(8))
    assert pairs[0].round == 1


def test_a_gap_below_the_least_one_is_no_preference() -> None:
    least = math.log(0.8 / 0.3)
    assert told(list(step_pairs([ROUND], least, 9))) == [("p", "a", "d"), ("p", "a", "e")]


def test_the_same_pair_is_written_once_however_often_a_search_came_by() -> None:
    again = Replayed(5, ROUND.candidates)
    assert len(list(step_pairs([ROUND, again], 0.0, 9))) == 3


def test_where_a_search_keeps_all_the_best_is_set_against_the_others() -> None:
    tree = a_round(
        0,
        (START, proposal("a", 0.3, kept=True)),
        (START, proposal("b", 0.9, kept=True)),
        (START, proposal("c", 0.9, kept=True)),
    )
    assert told(list(step_pairs([tree], 0.0, 9))) == [("", "b", "a")], "equals are no preference"


def test_a_beam_that_keeps_all_of_one_prefix_prefers_nothing_there() -> None:
    beam = a_round(
        0,
        (behind("p"), proposal("a", 0.8, kept=True)),
        (behind("p"), proposal("b", 0.6, kept=True)),
        (behind("q"), proposal("c", 0.5)),
    )
    assert list(step_pairs([beam], 0.0, 9)) == []


def test_steps_that_were_cut_at_the_cap_are_left_out() -> None:
    cut = a_round(
        0,
        (START, proposal("a", 0.9, kept=True, complete=False)),
        (START, proposal("b", 0.8, kept=True)),
        (START, proposal("c", 0.1, complete=False)),
        (START, proposal("d", 0.2)),
    )
    assert told(list(step_pairs([cut], 0.0, 9))) == [("", "b", "d")]
