"""Many problems in flight, each at its own round.

A round waits only for its own problem's proposals, never for another problem: with enough problems
in flight the engines stay busy (facts.md, "Scheduling"). Problems are taken in as places come free
and handed out as they end, so that a hundred thousand take no more memory than what is in flight.
A problem that an engine refuses for good costs itself alone and is quarantined; an engine that
does not answer costs the shard a retry.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol

from cord.errors import CordError, EngineError, EngineRefused, EngineUnreachable
from cord.in_flight import InFlight, Pace
from cord.journal import Journal
from cord.recipe import SearchSettings
from cord.scoring import Criterion
from cord.search import Seat, decode
from cord.types import Decoding, Problem, Quarantined, Round

DRAIN_S = 120.0
"""How long rounds in flight may take to end once a stop is asked for; then they are broken off (a
server that is waited for may stay away for an hour)."""
LOOK_S = 0.5
"""How often it is looked whether a stop is asked for, beside at every decided round."""


class Stopped(CordError):
    """The user asked the run to stop; what is committed stays."""

    exit_code = 130


class Watcher(Protocol):
    """Hears how decoding goes on. Called from decoding threads: be quick, and thread-safe."""

    def round_recalled(self, problem: Problem, decided: Round) -> None:
        """One round of one problem was decided before, and is taken from the journal."""

    def round_decided(self, problem: Problem, decided: Round) -> None:
        """One round of one problem is decided, and kept."""

    def problem_done(self, problem: Problem, done: Decoding | Quarantined) -> None:
        """A problem's search has ended, or failed for good."""


class Silent:
    """A watcher that does not care."""

    def round_recalled(self, problem: Problem, decided: Round) -> None:
        """Ignore it."""

    def round_decided(self, problem: Problem, decided: Round) -> None:
        """Ignore it."""

    def problem_done(self, problem: Problem, done: Decoding | Quarantined) -> None:
        """Ignore it."""


async def decode_problems(
    problems: Iterable[Problem],
    teachers: Sequence[Seat],
    criterion: Criterion,
    settings: SearchSettings,
    seed: int,
    in_flight: int | InFlight,
    watcher: Watcher | None = None,
    stop: threading.Event | None = None,
    go_on_without_lost: bool = False,
    turn: int = 0,
    journal: Journal | None = None,
) -> AsyncGenerator[Decoding | Quarantined, None]:
    """Decode problems, at most `in_flight` at once, and yield each as it ends, in any order.

    Problems are taken from `problems` as others end, so that no more wait here than are at work.
    Several calls, in whatever threads, may share their places: give all the same `InFlight`, and
    each its `turn`; the lower one goes first. Raises `EngineUnreachable` when an engine is away
    (worth a retry of the whole shard). Once `stop` is set no round begins, what is in flight ends
    (within `DRAIN_S`), and `Stopped` is raised. `go_on_without_lost`: as in `cord.search.decode`.
    What `journal` knows of a problem is not decoded again, and it keeps each round that is decided
    before that problem's next one begins; raises what it raises.
    """
    watcher = watcher or Silent()
    places = InFlight(in_flight) if isinstance(in_flight, int) else in_flight
    todo = iter(problems)
    at_work: set[asyncio.Task[Decoding | Quarantined]] = set()
    ended: asyncio.Queue[asyncio.Task[Decoding | Quarantined]] = asyncio.Queue()

    async def one(problem: Problem) -> Decoding | Quarantined:
        await places.take(turn)
        try:
            with places.pace() as pace:
                return await at_its_place(problem, pace)
        finally:
            places.leave()

    async def at_its_place(problem: Problem, pace: Pace) -> Decoding | Quarantined:
        async def on_round(start_score: float, decided: Round) -> None:
            if journal is not None:
                await journal.keep(problem.id, start_score, decided)
            watcher.round_decided(problem, decided)
            places.go_on(pace)
            _check(stop)

        _check(stop)
        so_far = journal.so_far(problem.id) if journal is not None else None
        for recalled in so_far.rounds if so_far is not None else ():
            watcher.round_recalled(problem, recalled)
        # The first round that is decided here has the urgency of a problem that begins.
        urgency = pace.urgency - (len(so_far.rounds) if so_far is not None else 0)
        search = decode(
            *(problem, teachers, criterion, settings, seed, on_round, go_on_without_lost, urgency),
            so_far=so_far,
        )
        done = await _quarantine_if_refused(problem, search)
        watcher.problem_done(problem, done)
        return done

    def begin(number: int) -> None:
        for problem in islice(todo, number):
            task = asyncio.create_task(one(problem))
            at_work.add(task)
            task.add_done_callback(ended.put_nowait)

    stopped = False
    draining = asyncio.create_task(_drain(stop, at_work)) if stop is not None else None
    try:
        begin(2 * places.number)  # as many wait: a place that comes free keeps its turn
        while at_work:
            task = await ended.get()
            at_work.remove(task)
            try:
                done = task.result()
            except (Stopped, asyncio.CancelledError):
                stopped = True  # the others' rounds still end
                continue
            begin(1)
            yield done
    finally:
        await _break_off([*at_work, *([draining] if draining else [])])
    if stopped:
        raise Stopped("stopped on request")


async def _drain(stop: threading.Event, at_work: set[asyncio.Task[Decoding | Quarantined]]) -> None:
    """Once a stop is asked for, give the rounds in flight `DRAIN_S` to end."""
    while not stop.is_set():  # noqa: ASYNC110, it is a thread's event
        await asyncio.sleep(LOOK_S)
    await asyncio.sleep(DRAIN_S)
    for task in at_work:
        task.cancel()


async def _break_off(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _quarantine_if_refused(
    problem: Problem, search: Awaitable[Decoding]
) -> Decoding | Quarantined:
    begun = time.monotonic()
    try:
        decoding = await search
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
