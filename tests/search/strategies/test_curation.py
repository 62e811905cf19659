from doubles.scripted_engine import ScriptedEngine
from search.strategies.trees import START, asked, candidate, texts

from cord.recipe import SearchSettings
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat, decode
from cord.search.strategies.curation import Curation
from cord.types import Problem

CURATION = SearchSettings(strategy="curation", width=2, max_step_tokens=8, max_tokens=400)


def test_of_one_round_the_best_are_kept_finished_ones_first() -> None:
    search = Curation(START, CURATION)
    assert asked(search) == [(0, ""), (1, "")]
    marked = search.take(
        [
            candidate(0, "cut off", 0.9),
            candidate(0, "a", 0.3, end=True),
            candidate(1, "b", 0.4, end=True),
        ]
    )
    assert [c.kept for c in marked] == [False, True, True]
    assert asked(search) == []
    assert texts(search) == ["b", "a"]


async def test_each_teacher_writes_whole_trajectories_on_its_own() -> None:
    whole = " first\n### Step 2. second\n</think>\n\nThe final answer is \\boxed{2}"
    engine = ScriptedEngine(lambda request: whole)
    problem = Problem("p1", "What is 1+1?", "2")
    seats = [Seat("ada", engine, 0.6), Seat("ben", engine, 0.6)]
    decoding = await decode(
        problem, seats, PredictivePerplexity(ScriptedEngine()), CURATION, seed=7
    )
    assert len(engine.requests) == 4 and len({r.seed for r in engine.requests}) == 4
    assert {r.stop for r in engine.requests} == {()}
    assert {r.max_tokens for r in engine.requests} == {400}, "the cap on a step is none on a whole"
    best = decoding.trajectories[0]
    assert best.finished and best.answer == "2"
    assert best.text == "### Step 1." + whole
    assert best.steps[0].authors == ("ada", "ben"), "the same text counts once"
