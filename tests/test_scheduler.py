import asyncio
import threading

import pytest
from doubles.scripted_engine import ScriptedEngine

from cord.engines import Proposal, ProposalRequest
from cord.errors import EngineError, EngineUnreachable
from cord.recipe import SearchSettings
from cord.scheduler import Stopped, decode_problems
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat
from cord.types import Decoding, Problem, Quarantined, Round

PROBLEMS = [Problem(f"p{i}", f"question {i}", "0") for i in range(9)]


class Failing(ScriptedEngine):
    """Fails on one question, in the way it is told."""

    def __init__(self, on: str, error: Exception) -> None:
        super().__init__(jitter=True)
        self.on, self.error = on, error
        self.at_once = self.most = 0

    async def propose(self, request: ProposalRequest) -> Proposal:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            if request.question == self.on:
                raise self.error
            return await super().propose(request)
        finally:
            self.at_once -= 1


class Seen:
    def __init__(self, stop: threading.Event | None = None) -> None:
        self.rounds, self.done, self.stop = 0, 0, stop

    def round_decided(self, problem: Problem, decided: Round) -> None:
        self.rounds += 1
        if self.stop and self.rounds == 3:
            self.stop.set()

    def problem_done(self, problem: Problem, done: Decoding | Quarantined) -> None:
        self.done += 1


async def run(
    engine: ScriptedEngine, seen: Seen, in_flight: int = 3
) -> tuple[list[str], list[str]]:
    decodings, quarantined = await decode_problems(
        PROBLEMS, [Seat("a", engine, 0.6)], PredictivePerplexity(ScriptedEngine()),
        SearchSettings(), 7, in_flight, seen, seen.stop,
    )  # fmt: skip
    return [d.problem.id for d in decodings], [q.problem_id for q in quarantined]


async def test_a_problem_that_always_fails_costs_itself_alone() -> None:
    engine, seen = Failing("question 4", EngineError("it cannot be")), Seen()
    decoded, quarantined = await run(engine, seen)
    assert decoded == [f"p{i}" for i in range(9) if i != 4], "results keep the problems' order"
    assert quarantined == ["p4"]
    assert seen.done == 9
    assert engine.most <= 3


async def test_an_engine_that_is_away_fails_the_shard_so_that_it_is_tried_again() -> None:
    with pytest.raises(EngineUnreachable):
        await run(Failing("question 4", EngineUnreachable("gone")), Seen())
    assert len(asyncio.all_tasks()) == 1, "nothing goes on behind the failure"


async def test_a_run_stops_at_the_next_round_on_request() -> None:
    seen = Seen(threading.Event())
    with pytest.raises(Stopped):
        await run(ScriptedEngine(jitter=True), seen)
    assert seen.done < 9
