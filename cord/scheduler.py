"""Many problems in flight, each at its own round.

A round waits only for its own problem's proposals, never for another problem: with enough problems
in flight the engines stay busy (facts.md, "Scheduling"). Problems are taken in as places come free
and handed out as they end, so that a hundred thousand take no more memory than what is in flight.
A problem that cannot be decoded costs itself alone (`cord.attempts`); an engine that does not
answer, or a lake, costs the shard a retry.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from itertools import islice
from typing import Any, Protocol

from cord.attempts import Ended, Unforeseen, attempt, own
from cord.engines.suspects import asking_for
from cord.errors import CordError
from cord.in_flight import InFlight, Pace
from cord.journal import Journal, Keeper
from cord.recipe import SearchSettings
from cord.scoring import Criterion
from cord.search import Seat, decode
from cord.types import Decoding, Problem, Progress, Quarantined, Round

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
        """One round of one problem is decided; all before it are kept."""

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
    retries: int = 0,
    integrator: Seat | None = None,
) -> AsyncGenerator[Decoding | Quarantined, None]:
    """Decode problems, at most `in_flight` at once, and yield each as it ends, in any order.

    Problems are taken from `problems` as others end, so that no more wait here than are at work.
    Several calls, in whatever threads, may share their places: give all the same `InFlight`, and
    each its `turn`; the lower one goes first. Raises `EngineUnreachable` when an engine is away
    (worth a retry of the whole shard). Once `stop` is set no round begins, what is in flight ends
    (within `DRAIN_S`), and `Stopped` is raised. `go_on_without_lost`, `integrator`: as in
    `cord.search.decode`.
    What `journal` knows of a problem is not decoded again, and it keeps each round that is decided
    before that problem's next one counts (`cord.journal.Keeper`); raises what it raises. A problem
    that fails as nobody foresaw is tried again `retries` times, behind its last decided round, and
    then set aside; where most fail so, it is not theirs, and `CordError` is raised.
    """
    watcher = watcher or Silent()
    places = InFlight(in_flight) if isinstance(in_flight, int) else in_flight
    todo = iter(problems)
    at_work: set[asyncio.Task[Ended]] = set()
    ended: asyncio.Queue[asyncio.Task[Ended]] = asyncio.Queue()

    async def one(problem: Problem) -> Ended:
        await places.take(turn)
        try:
            with places.pace() as pace:
                return await at_its_place(problem, pace)
        finally:
            places.leave()

    async def at_its_place(problem: Problem, pace: Pace) -> Ended:
        _check(stop)
        so_far = journal.so_far(problem.id) if journal is not None else None
        for recalled in so_far.rounds if so_far is not None else ():
            watcher.round_recalled(problem, recalled)

        keeper = Keeper(journal, problem.id)

        async def on_round(start_score: float, decided: Round) -> None:
            nonlocal so_far
            await keeper.keep(start_score, decided)
            so_far = Progress(start_score, (*(so_far.rounds if so_far else ()), decided))
            watcher.round_decided(problem, decided)
            places.go_on(pace)
            _check(stop)

        async def search() -> Decoding:
            _check(stop)
            # The first round that is decided here has the urgency of a problem that begins.
            urgency = pace.urgency - (len(so_far.rounds) if so_far is not None else 0)
            try:
                return await decode(
                    *(problem, teachers, criterion, settings, seed, on_round),
                    *(go_on_without_lost, urgency, so_far, integrator),
                )
            finally:
                await keeper.safe()

        with asking_for(problem):
            done = await attempt(problem, search, retries)
        if not isinstance(done, Unforeseen):
            watcher.problem_done(problem, done)
        return done

    def begin(number: int) -> None:
        for problem in islice(todo, number):
            task = asyncio.create_task(one(problem))
            at_work.add(task)
            task.add_done_callback(ended.put_nowait)

    stopped, decoded, unforeseen = False, 0, list[Unforeseen]()
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
            if isinstance(done, Unforeseen):
                unforeseen.append(done)  # the others will show whose fault it is
                continue
            decoded += isinstance(done, Decoding)
            yield done
    finally:
        await _break_off([*at_work, *([draining] if draining else [])])
    if stopped:
        raise Stopped("stopped on request")
    for failed, aside in zip(unforeseen, own(unforeseen, decoded), strict=True):
        watcher.problem_done(failed.problem, aside)
        yield aside


async def _drain(stop: threading.Event, at_work: set[asyncio.Task[Ended]]) -> None:
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


def _check(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise Stopped("stopped on request")
