import math

import pytest

from cord.preferences import Finished, trajectory_pairs
from cord.types import Outcome


def finished(text: str, score: float, outcome: Outcome = "correct") -> Finished:
    return Finished(text, score, outcome, ("ada",))


OTHERS = [
    finished("low", 0.2),
    finished("near", 0.78),
    finished("higher", 0.9),
    finished("doubtful", 0.1, "undecided"),
    finished("unlikely", 0.01, "wrong"),
    finished("plausible", 0.9, "wrong"),
    finished("plausible", 0.9, "wrong"),
    finished("record", 0.8),
]


def test_wrong_ones_come_first_then_right_ones_that_scored_lower() -> None:
    pairs = list(trajectory_pairs(finished("record", 0.8), OTHERS, 0.1, 9))
    assert [(pair.rejected.text, pair.because) for pair in pairs] == [
        ("plausible", "wrong"),
        ("unlikely", "wrong"),
        ("low", "scored lower"),
    ]
    assert pairs[0].gap < 0, "a wrong answer may have been the more predictable one"
    assert pairs[2].gap == pytest.approx(math.log(4))
    assert len(list(trajectory_pairs(finished("record", 0.8), OTHERS, 0.1, 1))) == 1
