"""Many problems in flight, each at its own round.

A round waits only for its own problem's proposals, never for another problem: with enough problems
in flight the engines stay busy (facts.md, "Scheduling"). A problem that an engine refuses for good
costs itself alone and is quarantined; an engine that does not answer costs the shard a retry.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from cord.errors import CordError, EngineError, EngineRefused, EngineUnreachable
from cord.recipe import SearchSettings
from cord.scoring import Criterion
from cord.search import Seat, decode
from cord.types import Decoding, Problem, Quarantined, Round


class Stopped(CordError):
    """The user asked the run to stop; what is committed stays."""

    exit_code = 130


class Watcher(Protocol):
    """Hears how decoding goes on. Called from decoding threads: be quick, and thread-safe."""

    def round_decided(self, problem: Problem, decided: Round) -> None:
        """One round of one problem is decided."""

    def problem_done(self, problem: Problem, done: Decoding | Quarantined) -> None:
        """A problem's search has ended, or failed for good."""


class Silent:
    """A watcher that does not care."""

    def round_decided(self, problem: Problem, decided: Round) -> None:
        """Ignore it."""

    def problem_done(self, problem: Problem, done: Decoding | Quarantined) -> None:
        """Ignore it."""


async def decode_problems(
    problems: Sequence[Problem],
    teachers: Sequence[Seat],
    criterion: Criterion,
    settings: SearchSettings,
    seed: int,
    in_flight: int,
    watcher: Watcher | None = None,
    stop: threading.Event | None = None,
) -> tuple[tuple[Decoding, ...], tuple[Quarantined, ...]]:
    """Decode all problems, at most `in_flight` at once; results in the order of `problems`.

    Raises `EngineUnreachable` when an engine is away (worth a retry of the whole shard) and
    `Stopped` at the next decided round once `stop` is set.
    """
    watcher = watcher or Silent()
    seats = asyncio.Semaphore(in_flight)

    async def one(problem: Problem) -> Decoding | Quarantined:
        def on_round(decided: Round) -> None:
            watcher.round_decided(problem, decided)
            _check(stop)

        async with seats:
            _check(stop)
            done = await _decode_or_quarantine(
                problem, teachers, criterion, settings, seed, on_round
            )
            watcher.problem_done(problem, done)
            return done

    tasks = [asyncio.create_task(one(problem)) for problem in problems]
    try:
        results = await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    return (
        tuple(r for r in results if isinstance(r, Decoding)),
        tuple(r for r in results if isinstance(r, Quarantined)),
    )


async def _decode_or_quarantine(
    problem: Problem,
    teachers: Sequence[Seat],
    criterion: Criterion,
    settings: SearchSettings,
    seed: int,
    on_round: Callable[[Round], None],
) -> Decoding | Quarantined:
    begun = time.monotonic()
    try:
        decoding = await decode(problem, teachers, criterion, settings, seed, on_round)
    except (EngineUnreachable, EngineRefused):
        raise
    except EngineError as error:
        return quarantined_problem(problem, f"could not be decoded: {error}")
    if not any(trajectory.steps for trajectory in decoding.trajectories):
        return quarantined_problem(problem, f"could not be decoded: {_why_no_step(decoding)}")
    return replace(decoding, seconds=time.monotonic() - begun)


def quarantined_problem(problem: Problem, reason: str) -> Quarantined:
    """Set a problem aside in decoding, with its question."""
    return Quarantined(
        stage="decode",
        reason=reason,
        problem_id=problem.id,
        source=problem.source,
        content=problem.question[:10_000],
    )


def _why_no_step(decoding: Decoding) -> str:
    reasons = {f"{who}: {why}" for decided in decoding.rounds for who, why in decided.rejected}
    return "no teacher proposed a usable first step (" + "; ".join(sorted(reasons)[:5]) + ")"


def _check(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise Stopped("stopped on request")
