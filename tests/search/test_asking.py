"""Rounds that close early, budgets, and teachers that are away."""

import asyncio
import math

import pytest
from doubles.scripted_engine import ScriptedEngine

from cord.engines import Proposal, ProposalRequest
from cord.errors import EngineError, EngineUnreachable
from cord.recipe import SearchSettings
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat, decode
from cord.search.asking import TOO_LATE
from cord.types import Decoding, Problem

PROBLEM = Problem("p1", "What is 1+1?", "2")
FINISHED = " so\n</think>\n\nThe final answer is \\boxed{2}"


class Late(ScriptedEngine):
    """Answers when it is let go; knows whether it was broken off."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(lambda request: FINISHED)
        self.let_go, self.error = asyncio.Event(), error
        self.broken_off = False

    async def propose(self, request: ProposalRequest) -> Proposal:
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.broken_off = True
            if self.error is not None:
                raise self.error from None
            raise
        return await super().propose(request)


class Away(ScriptedEngine):
    """Its server is away for the first `rounds` requests."""

    def __init__(self, requests: float = math.inf) -> None:
        super().__init__(lambda request: f" {request.seed} away\n### Step")
        self.left = requests

    async def propose(self, request: ProposalRequest) -> Proposal:
        if self.left > 0:
            self.left -= 1
            raise EngineUnreachable("the server is gone")
        return await super().propose(request)


def quick(said: str = FINISHED) -> ScriptedEngine:
    return ScriptedEngine(lambda request: said)


def writing() -> ScriptedEngine:
    """Never finished; each step its own, four words long."""
    return ScriptedEngine(lambda request: f" {request.seed} a step\n### Step")


async def run(
    *teachers: ScriptedEngine, go_on_without_lost: bool = False, **settings: object
) -> Decoding:
    seats = [Seat(f"t{i}", engine, 0.6) for i, engine in enumerate(teachers)]
    chosen = SearchSettings.model_validate({"max_steps": 5, **settings})
    criterion = PredictivePerplexity(ScriptedEngine())
    decoding = await asyncio.wait_for(
        decode(PROBLEM, seats, criterion, chosen, 7, go_on_without_lost=go_on_without_lost), 60
    )
    assert len(asyncio.all_tasks()) == 1, "nothing of a round outlives it"
    return decoding


@pytest.mark.parametrize("error", [None, EngineUnreachable("gone"), ValueError("cancelled badly")])
async def test_a_round_closes_at_11_of_12_and_breaks_the_laggard_off(
    error: Exception | None,
) -> None:
    late = Late(error)
    decoding = await run(*(quick() for _ in range(11)), late, quorum=0.9)
    assert late.broken_off
    assert decoding.rounds[0].rejected == (("t11", TOO_LATE),)
    assert decoding.missing == ()
    assert decoding.trajectories[0].finished


async def test_two_late_ones_of_12_are_waited_for_until_one_has_come() -> None:
    first, second = Late(), Late()
    asyncio.get_running_loop().call_later(0.02, second.let_go.set)
    decoding = await run(*(quick() for _ in range(10)), first, second, quorum=0.9)
    assert (first.broken_off, second.broken_off) == (True, False)
    assert decoding.rounds[0].rejected == (("t10", TOO_LATE),)


async def test_a_quorum_of_unusable_proposals_does_not_close_the_round() -> None:
    late = Late()
    asyncio.get_running_loop().call_later(0.02, late.let_go.set)
    decoding = await run(*(quick("  \n### Step") for _ in range(11)), late, quorum=0.9)
    assert not late.broken_off
    assert [c.step.teacher for c in decoding.rounds[0].candidates] == ["t11"]


async def test_by_default_all_are_waited_for_and_nothing_is_capped() -> None:
    late = Late()
    asyncio.get_running_loop().call_later(0.02, late.let_go.set)
    decoding = await run(*(quick() for _ in range(11)), late)
    assert decoding.rounds[0].rejected == ()
    assert (SearchSettings().quorum, SearchSettings().max_problem_tokens) == (1.0, None)


async def test_a_failure_breaks_the_rest_of_the_round_off() -> None:
    class Broken(ScriptedEngine):
        async def propose(self, request: ProposalRequest) -> Proposal:
            raise EngineError("it cannot be")

    late = Late()
    with pytest.raises(EngineError, match="it cannot be"):
        await run(quick(), late, Broken(), Broken())
    assert late.broken_off


async def test_a_problem_without_budget_left_begins_no_other_round() -> None:
    rounds = [
        len((await run(writing(), writing(), width=1, max_problem_tokens=budget)).rounds)
        for budget in (1, 8, 9, 17, 1000)
    ]
    # Both teachers write 4 tokens a round.
    assert rounds == [1, 1, 2, 3, 5]


async def test_what_is_thrown_away_counts_for_the_budget() -> None:
    decoding = await run(
        writing(), quick(" <think> a b c d e\n### Step"), width=1, max_problem_tokens=10
    )
    assert len(decoding.rounds) == 1
    assert decoding.proposed_tokens >= 10


async def test_a_teacher_that_is_away_fails_the_problem_unless_the_run_goes_on() -> None:
    with pytest.raises(EngineUnreachable, match="gone"):
        await run(writing(), Away())


async def test_where_the_run_goes_on_a_teacher_that_is_away_is_named_and_asked_again() -> None:
    decoding = await run(writing(), Away(1), go_on_without_lost=True, max_steps=3)
    assert [decided.missing for decided in decoding.rounds] == [("t1",), (), ()]
    assert decoding.missing == ("t1",)
    assert ("t1", "the server is gone") in decoding.rounds[0].rejected
    assert {c.step.teacher for c in decoding.rounds[1].candidates} == {"t0", "t1"}


async def test_a_run_does_not_go_on_without_any_teacher() -> None:
    with pytest.raises(EngineUnreachable, match="every teacher is away; the server is gone"):
        await run(Away(), Away(), go_on_without_lost=True)
