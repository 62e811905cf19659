import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.miniature.task import (
    Chain,
    Operation,
    Puzzle,
    Skill,
    draw,
    is_right,
    parse,
    stated_answer,
    steps,
)

seeds = st.integers(0, 2**32)
ADDER = Skill(frozenset({"add"}), guesses=1.0)
QUESTION = "Start Ann 9; +5; *3. Start Bob 4; flip; +2"


def test_an_answer_worked_by_hand():
    puzzle = parse(QUESTION)
    assert puzzle.answer == "27"  # 9+5=4, 4*3=2; 9-4=5, 5+2=7
    assert steps(puzzle) == [
        "### Step 1. Ann\n\n9+5=4\n\n",
        "### Step 2. Ann\n\n4*3=2\n\n",
        "### Step 3. Bob\n\nflip 4=5\n\n",
        "### Step 4. Bob\n\n5+2=7\n\n",
    ]


@given(seeds)
def test_a_question_states_its_whole_problem(seed):
    puzzle = draw(random.Random(seed))
    assert parse(puzzle.question) == puzzle


@given(seeds)
def test_the_right_solution_is_right_at_every_step_and_ends_on_the_answer(seed):
    puzzle = draw(random.Random(seed))
    written = steps(puzzle)
    assert is_right(puzzle.question, written) == [True] * len(puzzle.operations)
    assert stated_answer(puzzle, written) == puzzle.answer


@given(seeds)
def test_a_teacher_errs_only_on_what_it_has_not_mastered(seed):
    rng = random.Random(seed)
    puzzle = draw(rng)
    verdicts = is_right(puzzle.question, steps(puzzle, ADDER, rng))
    wrong = {op.kind for op, right in zip(puzzle.operations, verdicts, strict=True) if not right}
    assert "add" not in wrong


@given(seeds)
def test_one_mistake_alone_never_comes_to_the_right_answer(seed):
    rng = random.Random(seed)
    puzzle = draw(rng)
    place, written, value = rng.randrange(len(puzzle.operations)), [], 0
    for index, (owner, operation, start) in enumerate(puzzle.places()):
        given_value = value if start is None else start
        value = operation(given_value)
        if index == place:
            value = (value + rng.randint(1, 9)) % 10
        line = f"{operation.on(given_value)}{value}"
        written.append(f"### Step {index + 1}. {owner}\n\n{line}\n\n")
    assert is_right(puzzle.question, written).count(False) == 1
    assert stated_answer(puzzle, written) != puzzle.answer


def test_a_mistake_is_counted_once_where_it_was_made():
    written = [
        "### Step 1. Ann\n\n9+5=4\n\n",
        "### Step 2. Ann\n\n4*3=9\n\n",
        "### Step 3. Bob\n\nflip 4=1\n\n",
        "### Step 4. Bob\n\n1+2=3",
    ]
    assert is_right(QUESTION, written) == [True, False, False, True]


def test_of_two_looks_the_second_counts():
    looked_again = "### Step 1. Ann\n\n9+5={}\nWait, 9+5={}\n\n"
    second = "### Step 2. Ann\n\n4*3=2\n\n"
    assert is_right(QUESTION, [looked_again.format(4, 4), second]) == [True, True]
    assert is_right(QUESTION, [looked_again.format(7, 4), second]) == [True, True]
    assert is_right(QUESTION, [looked_again.format(4, 7), second]) == [False, False]
    at_another = looked_again.format(4, 4).replace("Wait, 9+5", "Wait, 8+6")
    assert is_right(QUESTION, [at_another, second]) == [False, True]


@pytest.mark.parametrize(
    "step",
    [
        "### Step 1. Ann\n\n9+6=5\n\n",  # another operation
        "### Step 1. Ann\n\n8+5=3\n\n",  # another value
        "### Step 2. Ann\n\n9+5=4\n\n",  # another number
        "### Step 1. Bob\n\n9+5=4\n\n",  # another owner
        "### Step 1. Ann\n\n9+5=4 so\n\n",
        "### Step 1. Ann\n\n9+5=\n\n",
        "",
    ],
)
def test_a_step_that_is_not_the_next_one_is_wrong(step):
    assert is_right(QUESTION, [step]) == [False]


def test_a_step_beyond_the_last_operation_is_wrong():
    chain = Chain(1, (Operation("add", 1),))
    puzzle = Puzzle(chain, chain)
    written = [*steps(puzzle), "### Step 3. Bob\n\n2+1=3\n\n"]
    assert is_right(puzzle.question, written) == [True, True, False]


@pytest.mark.parametrize(
    "question",
    [
        "",
        "What is 2+2?",
        "Start Ann 9; +5",
        "Start Ann 9; *4. Start Bob 1; +1",  # no inverse modulo ten
        "Start Ann 9; +5. Start Bob 1; +1; ",
    ],
)
def test_other_questions_are_refused(question):
    with pytest.raises(ValueError, match="not a question of the miniature"):
        parse(question)
