"""What each of the miniature's models is taught, one function for each school.

writing     a teacher: whole solutions, right on what it has mastered and partly guessed elsewhere,
            so that it is honestly unsure there
proving     the meta-prover: right solutions, and the true answer behind every prefix of one. It
            never sees the true answer behind a wrong step, or it would learn to ignore the steps
            that it is there to judge
judging     the judge: solutions with mistakes, and behind every prefix whether its last step is
            right
rewarding   the process reward model: the same, told at the end of each step
merging     the integrator: three teachers' solutions, and one made of them
"""

import random
from collections.abc import Iterator, Sequence

from transformers import PreTrainedTokenizerFast

from cord.miniature import wording
from cord.miniature.reading import IGNORED, Lesson, Teach
from cord.miniature.task import (
    FLAWLESS,
    Puzzle,
    Skill,
    is_right,
    stated_answer,
    stated_value,
    steps,
)
from cord.prompts import JUDGEMENT_PROBE, JUDGEMENTS, STEP_REWARD_TOKEN, merging_question

FALLIBLE = Skill(frozenset(), guesses=0.5)
"""Whose solutions are judged: about half of the steps are wrong."""


def writing(skill: Skill, tokens: PreTrainedTokenizerFast) -> Teach:
    """Whole solutions of an author of this skill."""

    def teach(puzzle: Puzzle, rng: random.Random) -> Lesson:
        written = steps(puzzle, skill, rng)
        return _told(puzzle.question, puzzle, written, tokens)

    return teach


def proving(tokens: PreTrainedTokenizerFast) -> Teach:
    """Right solutions, with the true answer behind every prefix."""

    def teach(puzzle: Puzzle, rng: random.Random) -> Lesson:
        written = steps(puzzle, FLAWLESS, rng)
        lesson = _told(puzzle.question, puzzle, written, tokens)
        answer = _ids(tokens, puzzle.answer)
        for _, cut, newline in _cuts(puzzle.question, written[:-1], rng, tokens):
            probe = _ids(tokens, newline + wording.PROBE)
            unlearnt = [IGNORED] * (len(probe) - 1)
            lesson.branch_off(cut, probe + answer[:-1], unlearnt + answer)
        return lesson

    return teach


def judging(tokens: PreTrainedTokenizerFast) -> Teach:
    """Solutions with mistakes; behind every prefix `yes` or `no`."""

    def teach(puzzle: Puzzle, rng: random.Random) -> Lesson:
        written = steps(puzzle, FALLIBLE, rng)
        verdicts = is_right(puzzle.question, written)
        words = [_ids(tokens, JUDGEMENTS[0 if right else 1])[0] for right in (True, *verdicts)]
        trunk = _ids(tokens, wording.prompt(puzzle.question) + wording.THINK)
        targets = [IGNORED] * len(trunk)
        for step, word in zip(written, words[1:], strict=True):
            said = _ids(tokens, step)
            trunk += said
            # At the result itself too, where the judgement is made: asked only behind the probe,
            # it was not learnt in twice the time.
            targets += [IGNORED] * (len(said) - 2) + [word, IGNORED]
        lesson = Lesson()
        lesson.trunk(trunk, targets)
        for count, cut, newline in _cuts(puzzle.question, written, rng, tokens):
            probe = _ids(tokens, newline + JUDGEMENT_PROBE)
            word = words[count]
            lesson.branch_off(cut, probe, [IGNORED] * (len(probe) - 1) + [word])
        return lesson

    return teach


def rewarding(tokens: PreTrainedTokenizerFast) -> Teach:
    """Solutions with mistakes; at the end of each step 1 where it is right, else 0."""
    (mark,) = _ids(tokens, STEP_REWARD_TOKEN)

    def teach(puzzle: Puzzle, rng: random.Random) -> Lesson:
        written = steps(puzzle, FALLIBLE, rng)
        verdicts = is_right(puzzle.question, written)
        ids = _ids(tokens, wording.prompt(puzzle.question))
        targets = [IGNORED] * len(ids)
        for count, step in enumerate(written, start=1):
            said = _ids(tokens, step.strip())  # as `cord.scoring.process_reward` asks
            ids += [*said, mark]
            targets += [IGNORED] * len(said) + [int(verdicts[count - 1])]
        lesson = Lesson()
        lesson.trunk(ids, targets)
        return lesson

    return teach


def merging(skills: Sequence[Skill], tokens: PreTrainedTokenizerFast) -> Teach:
    """One solution made of one by each author.

    It takes each result from whoever has mastered that kind, if it has worked on the same digit,
    else from any who has. Where none has, it must work the result out, which it can no better than
    a teacher can what it has not mastered: merging is no licence to solve the problem anew."""

    def teach(puzzle: Puzzle, rng: random.Random) -> Lesson:
        solutions = [steps(puzzle, skill, rng) for skill in skills]
        texts = ["".join(s) + wording.ending(stated_answer(puzzle, s)) for s in solutions]
        merged, value = [], 0
        for index, (owner, operation, start) in enumerate(puzzle.places()):
            given = value if start is None else start
            shown = operation.on(given)
            at_it = [
                (operation.kind in skill.mastered, stated_value(solution[index]))
                for skill, solution in zip(skills, solutions, strict=True)
                if shown in solution[index]
            ]
            by_masters = [found for mastered, found in at_it if mastered]
            found = by_masters or [found for _, found in at_it]
            novice = Skill(frozenset(), skills[0].guesses)
            value = int(rng.choice(found)) if found else novice.work_out(operation, given, rng)
            merged.append(f"### Step {index + 1}. {owner}\n\n{shown}{value}\n\n")
        return _told(merging_question(puzzle.question, texts), puzzle, merged, tokens)

    return teach


def _told(
    asked: str, puzzle: Puzzle, written: Sequence[str], tokens: PreTrainedTokenizerFast
) -> Lesson:
    """A prompt, which is not learnt, and a solution, which is."""
    prompt = _ids(tokens, wording.prompt(asked))
    solution = _ids(tokens, wording.response(written, stated_answer(puzzle, written)))
    lesson = Lesson()
    lesson.trunk(prompt + solution, [IGNORED] * (len(prompt) - 1) + solution + [IGNORED])
    return lesson


def _cuts(
    question: str, written: Sequence[str], rng: random.Random, tokens: PreTrainedTokenizerFast
) -> Iterator[tuple[int, int, str]]:
    """Places behind no step, one step, two ... where a probe may stand: (steps, tokens in front,
    what goes between).

    Live, steps are cut in three ways: behind a step's blank line, in front of it, or behind the
    title of the next."""
    place = len(_ids(tokens, wording.prompt(question) + wording.THINK))
    yield 0, place, ""
    for count, step in enumerate(written, start=1):
        place += len(_ids(tokens, step))
        how = rng.random()
        if how < 0.6:
            yield count, place, ""
        elif how < 0.85 or count == len(written):
            yield count, place - 1, "\n"
        else:
            title = written[count].partition("\n\n")[0]
            yield count, place + len(_ids(tokens, title)), "\n"


def _ids(tokens: PreTrainedTokenizerFast, text: str) -> list[int]:
    ids: list[int] = tokens.backend_tokenizer.encode(text, add_special_tokens=False).ids
    return ids
