import random

import pytest

from cord.miniature import lessons, tokenizer, wording
from cord.miniature.problems import take
from cord.miniature.reading import IGNORED, Lesson
from cord.miniature.task import FLAWLESS, Skill, is_right, parse, steps
from cord.miniature.training import TEACHERS
from cord.prompts import JUDGEMENT_PROBE, STEP_REWARD_TOKEN, merging_question, split_thinking
from cord.segmentation import segment

TOKENS = tokenizer.build()
ADDER = Skill(frozenset({"add"}), guesses=1.0)
PUZZLE = parse("Start Ann 9; +5; *3. Start Bob 4; flip; +2")


@pytest.fixture
def rng() -> random.Random:
    return random.Random(0)


def trunk_of(lesson: Lesson) -> str:
    return TOKENS.decode([i for i, b in zip(lesson.ids, lesson.branch, strict=True) if b == 0])


def branches_of(lesson: Lesson) -> list[tuple[str, str, str]]:
    """(what it sees, the branch, what is learnt in it) of every branch."""
    found = []
    for number in range(1, max(lesson.branch) + 1):
        own = [at for at, branch in enumerate(lesson.branch) if branch == number]
        learnt = [lesson.targets[at] for at in own if lesson.targets[at] != IGNORED]
        seen = lesson.ids[: lesson.sees[own[0]]]
        found.append(
            (
                TOKENS.decode(seen),
                TOKENS.decode([lesson.ids[at] for at in own]),
                TOKENS.decode(learnt),
            )
        )
    return found


def written_in(text: str) -> list[str]:
    """The steps of a solution's text."""
    thinking, _ = split_thinking(text.partition(wording.THINK)[2])
    return segment(thinking)


def test_a_teachers_text_ends_on_the_answer_it_reached_itself(rng):
    teach = lessons.writing(ADDER, TOKENS)
    for puzzle in take("training", 50, rng):
        text = trunk_of(teach(puzzle, rng))
        written = written_in(text)
        ends = [written[len(puzzle.ann.operations) - 1], written[-1]]
        answer = "".join(step.rstrip("\n")[-1] for step in ends)
        assert text.endswith(wording.ending(answer) + wording.EOS)


def test_everything_behind_the_prompt_is_learnt():
    taught = lessons.writing(FLAWLESS, TOKENS)(PUZZLE, random.Random(0))
    prompt = TOKENS.encode(wording.prompt(PUZZLE.question))
    assert taught.ids[: len(prompt)] == prompt
    learnt = TOKENS.decode([target for target in taught.targets if target != IGNORED])
    assert wording.prompt(PUZZLE.question) + learnt == trunk_of(taught)


def test_the_true_answer_is_taught_behind_every_prefix_of_right_steps(rng):
    teach = lessons.proving(TOKENS)
    for puzzle in take("training", 30, rng):
        taught = teach(puzzle, rng)
        whole = trunk_of(taught)
        branches = branches_of(taught)
        assert len(branches) == len(puzzle.operations)
        for seen, branch, learnt in branches:
            assert whole.startswith(seen)
            assert branch.lstrip("\n") == wording.PROBE + puzzle.answer[:-1]
            assert learnt == puzzle.answer
            assert (seen + branch).partition("</think>")[0].endswith("\n")


def test_a_judge_learns_whether_the_last_step_is_right(rng):
    teach, said = lessons.judging(TOKENS), set()
    for puzzle in take("training", 30, rng):
        branches = branches_of(teach(puzzle, rng))
        assert branches[0][2] == " yes"  # nothing is wrong yet
        for seen, branch, learnt in branches:
            assert branch.lstrip("\n") == JUDGEMENT_PROBE
            steps_seen = [s for s in written_in(seen + "</think>") if "=" in s]
            right = is_right(puzzle.question, steps_seen)
            assert learnt == (" yes" if not right or right[-1] else " no")
            said.add(learnt)
    assert said == {" yes", " no"}


def test_a_reward_model_learns_it_behind_each_step(rng):
    teach = lessons.rewarding(TOKENS)
    (mark,) = TOKENS.encode(STEP_REWARD_TOKEN)
    for puzzle in take("training", 30, rng):
        taught = teach(puzzle, rng)
        told = [t for i, t in zip(taught.ids, taught.targets, strict=True) if i == mark]
        told_text = trunk_of(taught).partition(wording.ASSISTANT)[2]
        written = told_text.split(STEP_REWARD_TOKEN)[:-1]
        right = is_right(puzzle.question, written)
        assert told == [int(each) for each in right]
        assert len(told) == len(right)


def test_an_integrator_takes_from_each_what_it_has_mastered(rng):
    teach = lessons.merging([teacher.skill for teacher in TEACHERS], TOKENS)
    for puzzle in take("training", 30, rng):
        text = trunk_of(teach(puzzle, rng))
        asked, _, merged = text.partition(wording.ASSISTANT)
        solutions = asked.partition("\n\nSolution 1:\n")[2].split("\n\nSolution ")
        assert len(solutions) == 3
        first = written_in(wording.THINK + solutions[0].removeprefix("Solution 1:\n"))
        assert asked.endswith(solutions[-1])
        if puzzle.operations[0].kind == "add":  # the first teacher's, on the digit given
            assert written_in(merged)[0].rstrip()[-1] == first[0].rstrip()[-1]


def test_an_integrator_reads_what_a_run_would_ask_it(rng):
    teach = lessons.merging([FLAWLESS, FLAWLESS], TOKENS)
    plain = "".join(steps(PUZZLE)) + wording.ending(PUZZLE.answer)
    for seed in range(200):
        asked = trunk_of(teach(PUZZLE, random.Random(seed))).partition(wording.ASSISTANT)[0]
        if "Wait" not in asked:
            expected = merging_question(PUZZLE.question, [plain, plain])
            assert asked == wording.prompt(expected).removesuffix(wording.ASSISTANT)
            return
    raise AssertionError("no lesson without a second look")
