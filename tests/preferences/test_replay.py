"""Rows of `steps`, taken again through the strategy, stand on the prefixes that were asked."""

from __future__ import annotations

import random
from typing import Any

import pytest
from doubles.scripted_engine import ScriptedEngine

from cord.engines import ProposalRequest
from cord.lake.tables.rows import Row, step_rows
from cord.preferences import ReplayError, replay
from cord.recipe import SearchSettings
from cord.scoring.simple import RandomChoice
from cord.search import Seat, decode
from cord.types import Decoding, Problem

PROBLEM = Problem("p1", "What is 1+1?", "2")
SEARCHES: dict[str, dict[str, Any]] = {
    "beam": {"width": 3},
    "beam, by the mean": {"width": 2, "rank_by": "mean"},
    "greedy, again and again": {"strategy": "greedy", "max_problem_tokens": 90},
    "mcts": {"strategy": "mcts", "width": 2},
    "curation": {"strategy": "curation", "width": 3},
}


def teacher(name: str) -> ScriptedEngine:
    """Ends now and then, and says nothing now and then."""

    def say(request: ProposalRequest) -> str:
        dice = random.Random(f"{name}{request.seed}")
        if dice.random() < 0.3:
            return " "
        ends = bool(request.steps) and dice.random() < 0.4
        said = f" {name} says {dice.randrange(9)}\n"
        return said + ("</think>\n\n\\boxed{2}" if ends or not request.stop else "### Step")

    return ScriptedEngine(say, name=name)


async def searched(seed: int, settings: SearchSettings) -> tuple[Decoding, list[ProposalRequest]]:
    teachers = [teacher(name) for name in ("ada", "ben")]
    seats = [Seat(one.name, one, 0.6) for one in teachers]
    decoding = await decode(PROBLEM, seats, RandomChoice(), settings, seed)
    return decoding, [request for one in teachers for request in one.requests]


@pytest.mark.parametrize("search", SEARCHES)
async def test_every_proposal_stands_on_the_prefix_that_was_asked(search: str) -> None:
    settings = SearchSettings(max_steps=4, max_step_tokens=30, **SEARCHES[search])
    for seed in range(12):
        decoding, requests = await searched(seed, settings)
        rows = step_rows("run", "key", decoding)
        start = decoding.trajectories[0].start_score
        replayed = list(replay(rows, start, settings))
        asked = {"".join(step.text for step in request.steps) for request in requests}
        built = [prefix.text + c.step.text for r in replayed for prefix, c in r.candidates]
        assert {prefix.text for r in replayed for prefix, _ in r.candidates} <= asked
        assert {t.text for t in decoding.trajectories} <= {"", *built}
        kept = [c.kept for r in replayed for _, c in r.candidates]
        assert kept == [row["kept"] for row in rows]
        assert len(built) == len(rows)


async def a_search() -> tuple[list[Row], float, SearchSettings]:
    settings = SearchSettings(width=2, max_steps=4, max_step_tokens=30)
    for seed in range(100):
        decoding, _ = await searched(seed, settings)
        if len(decoding.rounds) > 2:
            start = decoding.trajectories[0].start_score
            return step_rows("run", "key", decoding), start, settings
    raise AssertionError("no search is long enough")


async def test_rows_of_another_search_are_refused() -> None:
    rows, start, settings = await a_search()
    wider = settings.model_copy(update={"width": 1})
    with pytest.raises(ReplayError, match="round"):
        list(replay(rows, start, wider))
    with pytest.raises(ReplayError, match=r"round 1 .* prefix that the search had not"):
        list(
            replay(
                [{**row, "beam": row["beam"] + 7 * row["round"]} for row in rows], start, settings
            )
        )
    with pytest.raises(ReplayError, match="comes behind"):
        list(replay([*rows, rows[0]], start, settings))
