import math
from dataclasses import replace

import pytest
from doubles.scripted_engine import ScriptedEngine

from cord.engines import AnswerRequest, Proposal, ProposalRequest
from cord.errors import ContextTooLong
from cord.recipe import SearchSettings
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat, decode
from cord.types import Decoding, Problem

PROBLEM = Problem("p1", "What is 1+1?", "2")
CLOSE = "</think>\n\nThe final answer is \\boxed{2}"


def says(*steps: str):
    """A teacher that writes steps[n] as its n-th step."""

    def say(request: ProposalRequest) -> str:
        return steps[min(len(request.steps), len(steps) - 1)]

    return say


async def run(
    *teachers: ScriptedEngine, judge=lambda thinking, answer: (math.log(0.5),), **settings: object
) -> tuple[Decoding, ScriptedEngine]:
    meta = ScriptedEngine(judge=judge)
    seats = [Seat(f"t{i}", engine, 0.6) for i, engine in enumerate(teachers)]
    chosen = SearchSettings.model_validate({"max_steps": 8, **settings})
    return await decode(PROBLEM, seats, PredictivePerplexity(meta), chosen, seed=7), meta


async def test_three_made_up_log_probabilities_decide_the_round() -> None:
    """By hand: S = exp(mean) is 0.1, 0.8 and 0.4; the width of 2 keeps 0.8 and 0.4."""
    logprobs = {
        " a": (math.log(0.1),),
        " b": (math.log(0.8), math.log(0.8)),
        " c": (math.log(0.4),),
    }

    def judge(thinking: str, answer: str) -> tuple[float, ...]:
        return next(
            (v for k, v in logprobs.items() if thinking.endswith(k + "\n")), (math.log(0.2),)
        )

    teachers = [ScriptedEngine(says(f" {x}\n### Step"), name=x) for x in "abc"]
    decoding, _ = await run(*teachers, judge=judge, width=2, max_steps=1)
    scores = [c.step.score for c in decoding.rounds[0].candidates]
    assert scores == pytest.approx([0.1, 0.8, 0.4])
    assert [c.kept for c in decoding.rounds[0].candidates] == [False, True, True]
    assert decoding.rounds[0].candidates[1].step.gain == pytest.approx(math.log(0.8 / 0.2))
    assert [t.text for t in decoding.trajectories] == ["### Step 1. b\n", "### Step 1. c\n"]


async def test_teachers_write_one_trajectory_together() -> None:
    """ada is good at the first step, ben at the second: the answer has a step of each."""
    ada = ScriptedEngine(says(" good1\n### Step", f" bad2\n{CLOSE}"), name="ada")
    ben = ScriptedEngine(says(" bad1\n### Step", f" good2\n{CLOSE}"), name="ben")
    decoding, _ = await run(
        ada, ben, judge=lambda t, a: (math.log(0.1 + 0.4 * t.count("good")),), width=1
    )
    best = decoding.trajectories[0]
    assert best.text == f"### Step 1. good1\n### Step 2. good2\n{CLOSE}"
    assert [s.teacher for s in best.steps] == ["t0", "t1"]
    assert (best.finished, best.answer) == (True, "2")


async def test_the_stated_answer_is_hidden_from_the_score() -> None:
    _, meta = await run(ScriptedEngine(says(f" work\n{CLOSE}")))
    seen = meta.scored[-1]
    assert "".join(s.text for s in seen.thinking) == "### Step 1. work\n"
    assert seen.probe == "</think>\n\nThe final answer is \\boxed{"


async def test_the_search_ends_when_the_whole_beam_is_finished() -> None:
    decoding, _ = await run(
        ScriptedEngine(says(" a\n### Step", f" b\n{CLOSE}")),
        ScriptedEngine(says(" c\n### Step", f" d\n{CLOSE}")),
        width=4,
    )
    assert len(decoding.rounds) == 2
    assert all(t.finished for t in decoding.trajectories)
    assert len(decoding.trajectories) == 4


async def test_a_step_over_the_token_cap_goes_on_in_the_next_round() -> None:
    def say(request: ProposalRequest) -> str:
        return " three\n### Step" if request.opening == "" else " one two three\n### Step"

    decoding, _ = await run(ScriptedEngine(say), max_step_tokens=3, max_steps=2)
    text = decoding.trajectories[0].text
    assert text == "### Step 1. one two three\n"
    first, second = decoding.trajectories[0].steps
    assert (first.complete, second.complete) == (False, True)


async def test_a_cap_that_falls_into_the_next_header_leaves_a_whole_step() -> None:
    def say(request: ProposalRequest) -> str:
        return " x\n### Step 2" if request.steps else " one\n### S tep"

    decoding, _ = await run(ScriptedEngine(say), max_step_tokens=3, max_steps=2, width=1)
    assert decoding.trajectories[0].text == "### Step 1. one\n### Step 2. x\n"


async def test_the_next_step_opens_on_a_line_of_its_own_with_its_number() -> None:
    engine = ScriptedEngine(says(" no newline### Step", " x\n### Step"))
    await run(engine, max_steps=3, width=1)
    assert [r.opening for r in engine.requests] == ["### Step 1.", "\n### Step 2.", "### Step 3."]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("  \n### Step", "an empty step"),
        (" a\n</think>\n\nI do not know.", "without an answer"),
        (" a <think> b\n### Step", "stray thinking tag"),
        ("</think>\n\nThe final answer is \\boxed{2}", "before any step"),
    ],
)
async def test_an_unusable_proposal_is_rejected_with_its_reason(said: str, reason: str) -> None:
    decoding, _ = await run(ScriptedEngine(says(said)))
    ((_, why),) = decoding.rounds[0].rejected
    assert reason in why
    assert decoding.rounds[0].proposed_tokens > 0  # it was paid for all the same
    assert decoding.trajectories[0].steps == ()


async def test_a_prefix_too_long_for_one_teacher_is_left_to_the_others() -> None:
    class Short(ScriptedEngine):
        async def propose(self, request: ProposalRequest) -> Proposal:
            raise ContextTooLong("the prompt does not fit")

    decoding, _ = await run(Short(), ScriptedEngine(says(f" a\n{CLOSE}")))
    assert decoding.trajectories[0].finished
    assert decoding.rounds[0].rejected == (("t0", "the prompt does not fit"),)


async def test_a_candidate_too_long_for_the_meta_prover_is_rejected() -> None:
    class Picky(ScriptedEngine):
        async def answer_logprobs(self, request: AnswerRequest) -> list[tuple[float, ...]]:
            if any("long" in s.text for s in request.thinking):
                raise ContextTooLong("too long to score")
            return [(-0.5,)]

    seats = [
        Seat("a", ScriptedEngine(says(f" long\n{CLOSE}")), 0.6),
        Seat("b", ScriptedEngine(says(f" b\n{CLOSE}")), 0.6),
    ]
    decoding = await decode(PROBLEM, seats, PredictivePerplexity(Picky()), SearchSettings(), 7)
    assert [t.steps[0].teacher for t in decoding.trajectories] == ["b"]


async def test_each_request_has_a_seed_of_its_own_and_the_same_one_again() -> None:
    def engine() -> ScriptedEngine:
        return ScriptedEngine(lambda r: f" {r.seed % 97} x\n### Step", jitter=True)

    first, second = engine(), engine()
    a, _ = await run(first, first, max_steps=4)
    b, _ = await run(second, second, max_steps=4)
    assert a == b
    assert len({r.seed for r in first.requests}) == len(first.requests)


async def test_the_best_spelling_of_the_answer_counts() -> None:
    meta = ScriptedEngine(judge=lambda t, a: (math.log(0.9 if a == "1/2" else 0.1),))
    problem = replace(PROBLEM, answer="0.5", alternatives=("1/2",))
    assert await PredictivePerplexity(meta).score(problem, (), "k") == pytest.approx(0.9)


async def test_a_summary_behind_the_thinking_may_number_its_steps() -> None:
    """R1-like models do: `### Step` stops the thinking only."""

    def say(request: ProposalRequest) -> str:
        if request.steps:
            return "### Step 1: add.\nThe final answer is \\boxed{2}"
        return " add\n</think>\n\n### Step 1: add.\n"

    decoding, _ = await run(ScriptedEngine(say))
    best = decoding.trajectories[0]
    assert best.finished and best.answer == "2"
    assert best.text.count("</think>") == 1
