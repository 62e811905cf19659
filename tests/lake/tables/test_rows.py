"""Rows of the tables: what proposals cost adds up, whatever the search decided."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from doubles.scripted_engine import ScriptedEngine
from hypothesis import given
from hypothesis import strategies as st

from cord.engines import Proposal, ProposalRequest
from cord.errors import EngineUnreachable
from cord.lake.tables.rows import cost_rows, step_rows, trajectory_rows
from cord.recipe import SearchSettings
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat, decode
from cord.types import NO_COST, Candidate, Cost, Decoding, Problem, Round, Step, Trajectory

whole = st.integers(0, 2**40)
costs = st.builds(
    Cost, whole, whole, whole, st.none() | whole, st.integers(0, 10**6).map(lambda n: n / 8)
)


def figures(cost: Cost) -> tuple[object, ...]:
    """Also what `==` passes over."""
    return (
        cost.proposals, cost.tokens, cost.prompt_tokens, cost.cached_tokens, cost.seconds
    )  # fmt: skip


@given(st.lists(costs, max_size=6), st.randoms())
def test_costs_add_up_in_any_order(added: list[Cost], rng: random.Random) -> None:
    total = sum(added, NO_COST)
    mixed = added[:]
    rng.shuffle(mixed)
    assert figures(sum(mixed, NO_COST)) == figures(total)
    half = len(added) // 2
    parts = sum(added[:half], NO_COST) + sum(added[half:], NO_COST)
    assert figures(parts) == figures(total)
    assert total.tokens == sum(cost.tokens for cost in added)
    known = [cost.cached_tokens for cost in added if cost.cached_tokens is not None]
    assert total.cached_tokens == (sum(known) if known else None), "not known is not 0"


class Sometimes(ScriptedEngine):
    """Writes a step, an empty one, an end, what the others write, or is away; by the seed."""

    async def propose(self, request: ProposalRequest) -> Proposal:
        rng = random.Random(request.seed)
        if rng.random() < 0.1:
            raise EngineUnreachable("away")
        self.words = rng.choice([" ", " the same\n### Step", f" {rng.random()} x\n### Step",
                                 " so\n</think>\n\n\\boxed{0}"])  # fmt: skip
        made = await super().propose(request)
        cached = rng.choice([None, 3])
        return replace(made, prompt_tokens=7, cached_tokens=cached, seconds=0.25)


async def searched(seed: int, width: int) -> Decoding | None:
    """A whole search, and None where no teacher was there."""
    teachers = []
    for name in ("ada", "ben", "cyd"):
        engine = Sometimes(name=name)
        engine.say = lambda request, engine=engine: engine.words  # type: ignore[misc]
        teachers.append(Seat(name, engine, 0.6))
    judge = PredictivePerplexity(
        ScriptedEngine(judge=lambda thinking, answer: (-random.Random(thinking).random(),))
    )
    settings = SearchSettings(width=width, max_steps=5)
    try:
        problem = Problem("p", "q", "0")
        return await decode(problem, teachers, judge, settings, seed, go_on_without_lost=True)
    except EngineUnreachable:
        return None


async def test_every_token_that_was_sampled_is_kept_or_thrown_away() -> None:
    seen = Counter[str]()
    for seed in range(60):
        decoding = await searched(seed, width=1 + seed % 4)
        if decoding is None:
            continue
        best = decoding.trajectories[0]
        rows = cost_rows("r", "p", "k", decoding.costs, best)
        steps, beam = step_rows("r", "k", decoding), trajectory_rows("r", "k", decoding)
        assert sum(row["kept_tokens"] for row in rows) == best.tokens
        assert sum(row["tokens"] for row in rows) == decoding.proposed_tokens
        for row in rows:
            own = [step for step in steps if step["teacher"] == row["teacher"]]
            assert row["tokens"] == row["kept_tokens"] + row["thrown_away_tokens"]
            assert 0 <= row["kept_tokens"] <= row["tokens"] and row["thrown_away_tokens"] >= 0
            # What was rejected, or written by another one first, is in the costs alone.
            for column in ("tokens", "prompt_tokens", "seconds"):
                assert sum(step[column] for step in own) <= row[column]
            assert len(own) <= row["proposals"]
            seen["fewer steps"] += len(own) < row["proposals"]
            seen["kept"] += row["kept_tokens"] > 0
        away = {teacher for round_ in decoding.rounds for teacher in round_.missing}
        assert all(row["missing"] == sorted(away) for row in beam)
        seen["missing"] += bool(away)
        seen["cache known"] += any(step["cached_tokens"] is not None for step in steps)
    assert min(seen[case] for case in ("fewer steps", "kept", "missing", "cache known")) > 5


def test_a_step_of_two_authors_is_kept_once() -> None:
    step = Step("### Step 1. x", "ada", ("ada", "ben"), (), "m", 4, 0.5, 0.1)
    paid = Cost(1, 4, 9, 8, 0.5)
    round_ = Round(0, (Candidate(0, step, cost=paid),), costs=(("ada", paid), ("ben", paid)))
    decoding = Decoding(Problem("p", "q", "0"), (Trajectory((step,)),), (round_,))
    ada, ben = cost_rows("r", "p", "k", decoding.costs, decoding.trajectories[0])
    assert (ada["kept_tokens"], ada["thrown_away_tokens"]) == (4, 0)
    assert (ben["kept_tokens"], ben["thrown_away_tokens"]) == (0, 4)
    (row,) = step_rows("r", "k", decoding)
    assert (row["prompt_tokens"], row["cached_tokens"], row["seconds"]) == (9, 8, 0.5)
