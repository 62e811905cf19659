import math

import pytest
from doubles.scripted_engine import ScriptedEngine
from hypothesis import given
from hypothesis import strategies as st

from cord.errors import EngineError
from cord.prompts import JUDGEMENT_PROBE
from cord.scoring.binary import BinaryJudgement, share_of_yes
from cord.types import Problem, Step

PROBLEM = Problem("p", "q", "1")
words = st.lists(st.floats(-80, 0), min_size=1, max_size=4)


def step(text: str) -> Step:
    return Step(text, "ada", ("ada",), (1, 2), "m", 2, 0.5, 0.0)


def test_it_is_the_share_of_yes_by_hand() -> None:
    """p(yes) = .5 * .6 = .3, p(no) = .1: .3 / .4."""
    yes, no = [math.log(0.5), math.log(0.6)], [math.log(0.1)]
    assert share_of_yes(yes, no) == pytest.approx(0.75)


@given(words, words)
def test_both_shares_make_one_and_the_likelier_word_has_the_larger(
    yes: list[float], no: list[float]
) -> None:
    share = share_of_yes(yes, no)
    assert 0 <= share <= 1
    assert share + share_of_yes(no, yes) == pytest.approx(1)
    assert (share > 0.5) == (math.fsum(yes) > math.fsum(no)) or share == pytest.approx(0.5)


def test_words_far_below_what_floats_hold_are_still_compared() -> None:
    assert share_of_yes([-2000.0], [-2001.0]) == pytest.approx(1 / (1 + math.exp(-1)))
    assert share_of_yes([-1.0], [-math.inf]) == 1
    assert share_of_yes([-math.inf], [-1.0]) == 0


@pytest.mark.parametrize(
    ("yes", "no"), [([], [-1.0]), ([math.nan], [-1.0]), ([0.5], [-1.0]), ([-math.inf],) * 2]
)
def test_what_cannot_be_compared_is_refused(yes: list[float], no: list[float]) -> None:
    with pytest.raises(EngineError, match="judge"):
        share_of_yes(yes, no)


async def test_the_judge_sees_the_open_thinking_and_is_asked_for_its_two_words() -> None:
    judge = ScriptedEngine(judge=lambda thinking, word: (-0.1 if word == " yes" else -3.0,))
    steps = (step("### Step 1. a\n"), step("### Step 2. b\n</think>\n\nThe final answer is 1"))
    score = await BinaryJudgement(judge).score(PROBLEM, steps, "k")
    (asked,) = judge.scored
    assert "".join(s.text for s in asked.thinking) == "### Step 1. a\n### Step 2. b\n"
    assert (asked.probe, asked.answers) == (JUDGEMENT_PROBE, (" yes", " no"))
    assert score == pytest.approx(math.exp(-0.1) / (math.exp(-0.1) + math.exp(-3)))


async def test_nothing_is_wrong_before_the_first_step_and_nobody_is_asked() -> None:
    judge = ScriptedEngine()
    assert await BinaryJudgement(judge).score(PROBLEM, (), "k") == 1
    assert judge.scored == []
