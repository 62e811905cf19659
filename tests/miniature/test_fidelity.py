import random

import pytest

from cord.miniature.fidelity import every_step_right
from cord.miniature.problems import take
from cord.miniature.task import FLAWLESS, Skill, is_right, parse, stated_answer, steps
from cord.miniature.wording import ending

QUESTION = "Start Ann 9; +5; *3. Start Bob 4; flip; +2"
WRITTEN = steps(parse(QUESTION))


def test_a_whole_right_solution_is_faithful():
    assert every_step_right(QUESTION, "".join(WRITTEN) + ending("27"))


def test_a_right_answer_over_wrong_steps_is_not():
    lucky = [*WRITTEN]
    lucky[0] = lucky[0].replace("=4", "=7")
    lucky[1] = "### Step 2. Ann\n\n7*3=2\n\n"
    assert not every_step_right(QUESTION, "".join(lucky) + ending("27"))


def test_a_solution_that_leaves_a_step_out_is_not():
    assert not every_step_right(QUESTION, "".join(WRITTEN[:3]) + ending("27"))


def test_it_agrees_with_the_judgement_of_each_step():
    rng = random.Random(0)
    for puzzle in take("training", 200, rng):
        written = steps(puzzle, rng.choice([FLAWLESS, Skill(frozenset(), 0.3)]), rng)
        text = "".join(written) + ending(stated_answer(puzzle, written))
        assert every_step_right(puzzle.question, text) == all(is_right(puzzle.question, written))


def test_another_question_is_refused():
    with pytest.raises(ValueError, match="not a question of the miniature"):
        every_step_right("What is 2+2?", "### Step 1. 4</think>")
