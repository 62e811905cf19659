import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.miniature.task import Chain, Operation, Skill, draw, is_right, parse, stated_value, steps

seeds = st.integers(0, 2**32)
ADDER = Skill(frozenset({"add"}), guesses=1.0)


def test_an_answer_worked_by_hand():
    chain = parse("Start 9; +5; *3; flip; +8")
    assert chain.answer == "5"  # 9+5=4, 4*3=2, 9-2=7, 7+8=5
    assert steps(chain) == [
        "### Step 1. 9+5=4\n",
        "### Step 2. 4*3=2\n",
        "### Step 3. flip 2=7\n",
        "### Step 4. 7+8=5\n",
    ]


@given(seeds)
def test_a_question_states_its_whole_problem(seed):
    chain = draw(random.Random(seed))
    assert parse(chain.question) == chain


@given(seeds)
def test_the_right_solution_is_right_at_every_step_and_ends_on_the_answer(seed):
    chain = draw(random.Random(seed))
    written = steps(chain)
    assert is_right(chain.question, written) == [True] * len(chain.operations)
    assert stated_value(written[-1]) == chain.answer


@given(seeds)
def test_a_teacher_errs_only_on_what_it_has_not_mastered(seed):
    rng = random.Random(seed)
    chain = draw(rng)
    verdicts = is_right(chain.question, steps(chain, ADDER, rng))
    wrong = {op.kind for op, right in zip(chain.operations, verdicts, strict=True) if not right}
    assert "add" not in wrong


def test_a_mistake_is_counted_once_where_it_was_made():
    question = "Start 9; +5; *3; +1; +1"
    written = ["### Step 1. 9+5=4\n", "### Step 2. 4*3=9\n", "### Step 3. 9+1=0\n"]
    assert is_right(question, written) == [True, False, True]


@pytest.mark.parametrize(
    "step",
    [
        "### Step 1. 9+6=5\n",  # another operation
        "### Step 1. 8+5=3\n",  # another value
        "### Step 2. 9+5=4\n",  # another number
        "### Step 1. 9+5=4 so\n",
        "### Step 1. 9+5=\n",
        "",
    ],
)
def test_a_step_that_is_not_the_next_one_is_wrong(step):
    assert is_right("Start 9; +5; *3; +1; +1", [step]) == [False]


def test_a_step_beyond_the_last_operation_is_wrong():
    chain = Chain(1, (Operation("add", 1),))
    assert is_right(chain.question, ["### Step 1. 1+1=2\n", "### Step 2. 2+1=3\n"]) == [True, False]


@pytest.mark.parametrize("question", ["", "What is 2+2?", "Start 12; +1", "Start 1; +1; "])
def test_other_questions_are_refused(question):
    with pytest.raises(ValueError, match="not a question of the miniature"):
        parse(question)
