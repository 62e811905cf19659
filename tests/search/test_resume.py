"""A search that goes on behind decided rounds ends as if nothing had happened."""

from __future__ import annotations

import asyncio
import math
from hashlib import sha256
from typing import Any

import pytest
from doubles.scripted_engine import ScriptedEngine
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.engines import ProposalRequest
from cord.journal import Entry, Header, entry_line, header_line, read_segments
from cord.recipe import SearchSettings
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat, decode
from cord.types import Decoding, Problem, Progress, Round

PROBLEM = Problem("p1", "What is 1+1?", "2")
HERE = Header(cord="1", run_id="r", engines={})


class Broken(Exception):
    """The process is gone."""


def chance(*what: object) -> float:
    return int.from_bytes(sha256(repr(what).encode()).digest()[:4]) / 2**32


def teacher(name: str) -> ScriptedEngine:
    def say(request: ProposalRequest) -> str:
        dice = chance(name, request.seed)
        if dice < 0.15:
            return " "  # an empty step
        if dice < 0.3 and len(request.steps) > 1:
            return " so\n</think>\n\n\\boxed{2}"
        long = " and on" * int(12 * chance(name, request.seed, "length"))
        return f" step of {name} {request.seed % 3}{long}\n### Step"

    return ScriptedEngine(say, name=name)


async def search(
    chosen: SearchSettings, seed: int, so_far: Progress | None = None, ends_after: int | None = None
) -> tuple[Decoding | None, Progress | None, list[ProposalRequest]]:
    """What came of it, what was kept, what was asked."""
    engines = [teacher(name) for name in "abci"]
    meta = ScriptedEngine(judge=lambda t, a: (math.log(0.01 + 0.98 * chance(t)),))
    kept: list[Round] = list(so_far.rounds) if so_far else []
    start = so_far.start_score if so_far else math.nan

    async def on_round(start_score: float, decided: Round) -> None:
        nonlocal start
        kept.append(decided)
        start = start_score
        if len(kept) == ends_after:
            raise Broken

    *seats, integrator = (Seat(engine.name, engine, 0.6) for engine in engines)
    try:
        decoding = await decode(
            *(PROBLEM, seats, PredictivePerplexity(meta), chosen, seed, on_round),
            so_far=so_far,
            integrator=integrator,
        )
    except Broken:
        decoding = None
    requests = [request for engine in engines for request in engine.requests]
    return decoding, Progress(start, tuple(kept)) if kept else None, requests


def through_the_journal(progress: Progress) -> Progress:
    after, lines = "", [header_line(HERE)]
    for decided in progress.rounds:
        after, line = entry_line(Entry("k" * 64, "p1", after, progress.start_score, decided))
        lines.append(line)
    return read_segments([("s", b"".join(lines))], HERE).chains["k" * 64].progress


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    crashes=st.lists(st.integers(1, 3), max_size=4),
    width=st.integers(1, 4),
    budget=st.sampled_from([None, 60, 200]),
    max_tokens=st.sampled_from([40, 400]),
    strategy=st.sampled_from(["beam", "greedy", "mcts", "curation", "integration"]),
    rank_by=st.sampled_from(["last", "mean", "steady"]),
)
def test_however_often_it_is_broken_off_the_decoding_is_the_same_and_no_round_is_asked_twice(
    seed: int,
    crashes: list[int],
    width: int,
    budget: int | None,
    max_tokens: int,
    strategy: Any,
    rank_by: Any,
) -> None:
    chosen = SearchSettings(
        strategy=strategy,
        rank_by=rank_by,
        width=width,
        max_steps=7,
        max_step_tokens=16,
        max_tokens=max_tokens,
        max_problem_tokens=budget,
    )

    async def both() -> None:
        whole, _, all_asked = await search(chosen, seed)
        so_far: Progress | None = None
        asked: list[ProposalRequest] = []
        decoding: Decoding | None = None
        for more in [*crashes, 100]:
            known = len(so_far.rounds) if so_far else 0
            decoding, so_far, requests = await search(chosen, seed, so_far, known + more)
            asked += requests
            if decoding is not None:
                break
            assert so_far is not None
            so_far = through_the_journal(so_far)
        assert whole is not None and decoding is not None
        assert decoding.trajectories == whole.trajectories
        assert [slim(r) for r in decoding.rounds] == [slim(r) for r in whole.rounds]
        assert decoding.costs == whole.costs
        # A crash comes when a round is kept: then not one proposal is asked for twice.
        assert sorted(r.seed for r in asked) == sorted(r.seed for r in all_asked)

    asyncio.run(both())


def slim(decided: Round) -> list[object]:
    """All of a round but the ids of what was dropped."""
    return [
        *((c.beam, c.step.text, c.step.score, c.step.gain, c.kept) for c in decided.candidates),
        *(c.step.token_ids for c in decided.candidates if c.kept),
        (decided.rejected, decided.costs, decided.missing),
    ]


async def test_a_search_that_had_ended_asks_nothing_more() -> None:
    chosen = SearchSettings(width=2, max_steps=5)
    whole, kept, _ = await search(chosen, seed=3)
    again, _, requests = await search(chosen, 3, kept)
    assert whole is not None and again is not None
    assert again.trajectories == whole.trajectories and requests == []


@pytest.mark.parametrize("rounds", [1, 2])
async def test_a_round_is_asked_with_the_same_seeds_as_if_nothing_had_happened(rounds: int) -> None:
    chosen = SearchSettings(width=2, max_steps=5)
    _, _, all_asked = await search(chosen, seed=5)
    _, kept, first = await search(chosen, 5, ends_after=rounds)
    _, _, rest = await search(chosen, 5, kept)
    assert sorted(r.seed for r in first + rest) == sorted(r.seed for r in all_asked)
