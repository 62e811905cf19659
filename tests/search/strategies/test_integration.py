import math

import pytest
from doubles.scripted_engine import ScriptedEngine
from search.strategies.trees import START, asked, candidate, texts

from cord.engines import ProposalRequest
from cord.errors import ContextTooLong
from cord.prompts import MERGING_INSTRUCTIONS, merging_instructions, merging_question
from cord.recipe import SearchSettings
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat, decode
from cord.search.strategies.integration import Integration
from cord.types import Decoding, Problem

INTEGRATION = SearchSettings(strategy="integration", width=2, max_step_tokens=8, max_tokens=400)
PROBLEM = Problem("p1", "What is 1+1?", "2")


def whole(words: str, answer: str = "2") -> str:
    return f" {words}\n</think>\n\nThe final answer is \\boxed{{{answer}}}"


def test_the_finished_ones_are_merged_and_the_merged_one_is_the_answer_whatever_its_score() -> None:
    search = Integration(START, INTEGRATION)
    assert asked(search) == [(0, ""), (1, "")] and not search.merges()
    marked = search.take(
        [
            candidate(0, "cut off", 0.9),
            candidate(0, "a", 0.3, end=True),
            candidate(1, "b", 0.4, end=True),
        ]
    )
    assert [c.kept for c in marked] == [False, True, True]
    assert asked(search) == [(0, "")]
    assert [t.text for t in search.merges()] == ["a", "b"]
    assert [c.kept for c in search.take([candidate(0, "m", 0.1, end=True)])] == [True]
    assert asked(search) == []
    assert texts(search) == ["m", "b"]


def test_where_none_is_finished_all_are_merged() -> None:
    search = Integration(START, INTEGRATION)
    search.take([candidate(0, "x", 0.9), candidate(0, "y", 0.3)])
    assert [t.text for t in search.merges()] == ["x", "y"]


@pytest.mark.parametrize(
    ("merged", "best"),
    [([], ["b", "a"]), ([candidate(0, "cut off", 0.99)], ["b", "a"])],
    ids=["nothing usable", "nothing finished"],
)
def test_the_best_written_one_stands_in_for_a_merged_one(merged, best) -> None:
    search = Integration(START, INTEGRATION)
    search.take([candidate(0, "a", 0.3, end=True), candidate(0, "b", 0.4, end=True)])
    search.take(merged)
    assert texts(search) == best


def test_nothing_written_is_nothing_to_merge() -> None:
    search = Integration(START, INTEGRATION)
    assert search.take([]) == ()
    assert asked(search) == [] and search.best() == (START,)


async def integrated(integrator: ScriptedEngine, **changes: object) -> tuple[Decoding, list[str]]:
    """A whole search of two teachers and this integrator, and the questions that were scored."""
    teachers = [
        Seat(name, ScriptedEngine(lambda r, name=name: whole(f"by {name} {r.seed % 7}")), 0.6)
        for name in ("ada", "ben")
    ]
    meta = ScriptedEngine(judge=lambda thinking, answer: (math.log(0.5),))
    seat = Seat("integrator", integrator, 0.3, 0.9, MERGING_INSTRUCTIONS)
    settings = INTEGRATION.model_copy(update={"width": 1, **changes})
    decoding = await decode(
        *(PROBLEM, teachers, PredictivePerplexity(meta), settings, 7), integrator=seat
    )
    return decoding, [request.question for request in meta.scored]


async def test_the_integrator_is_asked_once_with_all_that_was_written_behind_the_question() -> None:
    integrator = ScriptedEngine(lambda request: whole("merged"), name="meg")
    decoding, scored = await integrated(integrator)
    (request,) = integrator.requests
    written = [f"### Step 1.{whole(f'by {n} {s % 7}')}" for n, s in seeds(decoding)]
    assert request.question == merging_question(PROBLEM.question, written)
    assert request.instructions == MERGING_INSTRUCTIONS
    assert (request.steps, request.opening, request.stop) == ((), "### Step 1.", ())
    assert (request.max_tokens, request.temperature, request.top_p) == (400, 0.3, 0.9)
    assert set(scored) == {PROBLEM.question}, "S is that of the problem itself"
    (best,) = decoding.trajectories
    assert best.finished and best.text == "### Step 1." + whole("merged")
    assert best.steps[0].teacher == "integrator"
    assert decoding.problem == PROBLEM
    assert list(decoding.costs) == ["ada", "ben", "integrator"]
    assert decoding.costs["integrator"].proposals == 1


def seeds(decoding: Decoding) -> list[tuple[str, int]]:
    """(teacher, what its text says of its seed) of the first round."""
    found = decoding.rounds[0].candidates
    return [(c.step.teacher, int(c.step.text.split("\n")[0].split(" ")[-1])) for c in found]


async def test_a_question_too_long_for_the_integrator_falls_back_on_the_best_written() -> None:
    class Short(ScriptedEngine):
        async def propose(self, request: ProposalRequest):
            raise ContextTooLong("too many tokens")

    decoding, _ = await integrated(Short())
    assert decoding.trajectories[0].steps[0].teacher == "ada"
    assert decoding.rounds[1].rejected == (("integrator", "too many tokens"),)


async def test_with_the_budget_spent_nothing_is_merged() -> None:
    integrator = ScriptedEngine()
    decoding, _ = await integrated(integrator, max_problem_tokens=1)
    assert len(decoding.rounds) == 1 and integrator.requests == []
    assert decoding.trajectories[0].finished


def test_other_instructions_of_the_recipe_are_the_integrators_too() -> None:
    assert merging_instructions("Rechne vor.").endswith("repeat no mistake. Rechne vor.")
    assert "Solve the problem." not in MERGING_INSTRUCTIONS
