import asyncio
import threading
import time
from collections.abc import Awaitable, Iterator
from contextlib import aclosing

import pytest
from doubles.scripted_engine import ScriptedEngine

from cord import attempts, scheduler
from cord.engines import Proposal, ProposalRequest
from cord.errors import CordError, EngineError, EngineUnreachable, LakeError
from cord.in_flight import InFlight
from cord.journal import Journal
from cord.recipe import SearchSettings
from cord.scheduler import Stopped, decode_problems
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat
from cord.types import Decoding, Problem, Progress, Quarantined, Round

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
    engine: ScriptedEngine, seen: Seen, in_flight: int = 3, **settings: object
) -> tuple[list[str], list[str]]:
    """Ids of the problems that were decoded, and of those that were quarantined."""
    ended = decode_problems(
        PROBLEMS, [Seat("a", engine, 0.6)], PredictivePerplexity(ScriptedEngine()),
        SearchSettings.model_validate(settings), 7, in_flight, seen, seen.stop,
    )  # fmt: skip
    done = [one async for one in ended]
    return (
        sorted(one.problem.id for one in done if isinstance(one, Decoding)),
        [one.problem_id for one in done if isinstance(one, Quarantined)],
    )


async def test_a_problem_that_always_fails_costs_itself_alone() -> None:
    engine, seen = Failing("question 4", EngineError("it cannot be")), Seen()
    decoded, quarantined = await run(engine, seen)
    assert decoded == [f"p{i}" for i in range(9) if i != 4]
    assert quarantined == ["p4"]
    assert seen.done == 9
    assert engine.most <= 3


class Buggy(ScriptedEngine):
    """Writes two steps; at the second one of some questions something breaks, so many times."""

    def __init__(self, *on: str, times: int = 99) -> None:
        super().__init__(lambda r: " so\n</think>\n\n\\boxed{0}" if r.steps else " one\n### Step")
        self.on = dict.fromkeys(on, times)

    async def propose(self, request: ProposalRequest) -> Proposal:
        if request.steps and self.on.get(request.question, 0) > 0:
            self.on[request.question] -= 1
            raise KeyError("what nobody foresaw")
        return await super().propose(request)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "RETRY_S", 0.001)


async def decode_with(
    engine: ScriptedEngine, seen: Seen, retries: int, journal: Journal | None = None
) -> dict[str, Decoding | Quarantined]:
    ended = decode_problems(
        PROBLEMS, [Seat("a", engine, 0.6)], PredictivePerplexity(ScriptedEngine()),
        SearchSettings(width=1), 7, 3, seen, journal=journal, retries=retries,
    )  # fmt: skip
    done = [one async for one in ended]
    return {one.problem.id if isinstance(one, Decoding) else one.problem_id: one for one in done}


@pytest.mark.usefixtures("impatient")
async def test_a_problem_that_breaks_something_is_tried_again_and_then_set_aside() -> None:
    engine, seen = Buggy("question 4"), Seen()
    done = await decode_with(engine, seen, retries=2)
    aside = done.pop("p4")
    assert isinstance(aside, Quarantined)
    assert aside.reason.startswith("could not be decoded: KeyError: 'what nobody foresaw' (propose")
    assert engine.on["question 4"] == 99 - 3
    assert len(done) == 8 and all(isinstance(one, Decoding) for one in done.values())
    assert seen.done == 9


@pytest.mark.usefixtures("impatient")
async def test_another_attempt_goes_on_behind_the_last_decided_round() -> None:
    class Kept:
        def __init__(self) -> None:
            self.rounds: list[tuple[str, int]] = []

        def so_far(self, problem_id: str) -> Progress | None:
            return None

        async def _keep(self, problem_id: str, decided: Round) -> None:
            self.rounds.append((problem_id, decided.index))

        def keep(self, problem_id: str, start_score: float, decided: Round) -> Awaitable[None]:
            return self._keep(problem_id, decided)

    engine, seen, kept = Buggy("question 4", "question 5", times=1), Seen(), Kept()
    done = await decode_with(engine, seen, retries=1, journal=kept)
    quiet = await decode_with(Buggy(), Seen(), retries=0)
    assert done == quiet
    assert len(kept.rounds) == len(set(kept.rounds)) == seen.rounds == 2 * 9
    assert sum(not request.steps for request in engine.requests) == 9, "no first step twice"


@pytest.mark.usefixtures("impatient")
async def test_when_most_problems_break_something_none_is_set_aside() -> None:
    seen = Seen()
    with pytest.raises(CordError, match=r"5 problems of a shard failed as nobody foresaw, and 4 w"):
        await decode_with(Buggy(*(f"question {n}" for n in range(5))), seen, retries=1)
    assert seen.done == 4


@pytest.mark.parametrize("error", [LakeError("away"), OSError(28, "No space"), MemoryError()])
async def test_what_is_no_problems_own_ends_the_shard(error: Exception) -> None:
    with pytest.raises(type(error)):
        await decode_with(Failing("question 4", error), Seen(), retries=9)
    assert len(asyncio.all_tasks()) == 1


async def test_an_engine_that_is_away_fails_the_shard_so_that_it_is_tried_again() -> None:
    with pytest.raises(EngineUnreachable):
        await run(Failing("question 4", EngineUnreachable("gone")), Seen())
    assert len(asyncio.all_tasks()) == 1, "nothing goes on behind the failure"


async def test_without_a_problem_there_is_nothing_to_do() -> None:
    criterion = PredictivePerplexity(ScriptedEngine())
    assert [one async for one in decode_problems([], [], criterion, SearchSettings(), 7, 3)] == []


async def test_problems_are_taken_in_only_as_others_end() -> None:
    taken = 0

    def endless() -> Iterator[Problem]:
        nonlocal taken
        while True:
            taken += 1
            yield Problem(f"p{taken}", "question", "0")

    ended = decode_problems(
        endless(), [Seat("a", ScriptedEngine(jitter=True), 0.6)],
        PredictivePerplexity(ScriptedEngine()), SearchSettings(), 7, in_flight=5,
    )  # fmt: skip
    got = 0
    async with aclosing(ended):
        async for _ in ended:
            got += 1
            assert taken <= got + 2 * 5
            if got == 50:
                break
    assert len(asyncio.all_tasks()) == 1, "who has heard enough leaves nothing behind"


async def test_a_run_stops_at_the_next_round_on_request() -> None:
    seen = Seen(threading.Event())
    with pytest.raises(Stopped):
        await run(ScriptedEngine(jitter=True), seen)
    assert seen.done < 9
    assert len(asyncio.all_tasks()) == 1


class Slow(ScriptedEngine):
    """Never done with its first step by itself: other steps go on until it is let go."""

    def __init__(self) -> None:
        super().__init__(lambda request: f" {request.seed % 9} more\n### Step")
        self.let_go = asyncio.Event()

    async def propose(self, request: ProposalRequest) -> Proposal:
        if request.question == "question 0":
            await self.let_go.wait()
        return await super().propose(request)


async def test_once_a_stop_is_asked_for_rounds_in_flight_end_and_none_begins() -> None:
    stop, engine = threading.Event(), Slow()

    class Stops(Seen):
        def round_decided(self, problem: Problem, decided: Round) -> None:
            self.rounds += 1
            if self.rounds == 10:
                stop.set()
                asyncio.get_running_loop().call_later(0.05, engine.let_go.set)
            if self.rounds > 10:
                ended.append((problem.id, decided.index))

    ended: list[tuple[str, int]] = []
    seen = Stops(stop)
    with pytest.raises(Stopped):
        await run(engine, seen, in_flight=3, width=1)
    assert ended[-1] == ("p0", 0), "its first round was in flight, and was waited for"
    assert len(ended) <= 2, "of each of the others at most the round in flight"
    assert seen.done == 0


async def test_a_round_that_does_not_end_holds_a_stop_up_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduler, "DRAIN_S", 0.05)
    monkeypatch.setattr(scheduler, "LOOK_S", 0.01)
    stop, stuck = threading.Event(), Slow()
    asyncio.get_running_loop().call_later(0.05, stop.set)
    with pytest.raises(Stopped):
        await run(stuck, Seen(stop), in_flight=1, width=1)
    assert len(asyncio.all_tasks()) == 1


def test_shards_in_several_threads_share_their_places_the_first_shard_goes_first() -> None:
    places, lock = InFlight(4), threading.Lock()
    at_work = most = 0
    order: list[int] = []

    class Counting(ScriptedEngine):
        async def propose(self, request: ProposalRequest) -> Proposal:
            nonlocal at_work, most
            with lock:
                at_work += 1
                most = max(most, at_work)
            try:
                return await super().propose(request)
            finally:
                with lock:
                    at_work -= 1

    class Noting(Seen):
        def __init__(self, shard: int) -> None:
            super().__init__()
            self.shard = shard

        def problem_done(self, problem: Problem, done: Decoding | Quarantined) -> None:
            with lock:
                order.append(self.shard)

    engine = Counting(jitter=True)
    for _ in range(places.number):
        asyncio.run(places.take())

    async def shard(number: int) -> int:
        ended = decode_problems(
            PROBLEMS * 4, [Seat("a", engine, 0.6)], PredictivePerplexity(ScriptedEngine()),
            SearchSettings(), 7, places, Noting(number), turn=number,
        )  # fmt: skip
        return len([one async for one in ended])

    threads = [
        threading.Thread(target=lambda number=number: asyncio.run(shard(number)))
        for number in (0, 1)
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while places.waiting < 2 * 2 * places.number and time.monotonic() < deadline:
        time.sleep(0.01)
    for _ in range(places.number):
        places.leave()
    for thread in threads:
        thread.join(120)
    assert len(order) == 72
    assert most <= 4
    assert (places.taken, places.waiting) == (0, 0)
    assert order[:30] == [0] * 30


async def test_a_lost_teacher_is_done_without_where_the_run_says_so() -> None:
    class Away(ScriptedEngine):
        async def propose(self, request: ProposalRequest) -> Proposal:
            raise EngineUnreachable("gone")

    teachers = [Seat("here", ScriptedEngine(), 0.6), Seat("away", Away(), 0.6)]
    criterion = PredictivePerplexity(ScriptedEngine())
    ended = decode_problems(
        PROBLEMS[:1], teachers, criterion, SearchSettings(), 7, 3, go_on_without_lost=True
    )
    (done,) = [one async for one in ended]
    assert isinstance(done, Decoding)
    assert done.missing == ("away",)


class Kept:
    """A journal in memory, that takes its time."""

    def __init__(self, known: dict[str, Progress] | None = None) -> None:
        self.known = known or {}
        self.rounds: dict[str, list[int]] = {}
        self.under_way: set[str] = set()
        self.too_early = 0

    def so_far(self, problem_id: str) -> Progress | None:
        return self.known.get(problem_id)

    def keep(self, problem_id: str, start_score: float, decided: Round) -> Awaitable[None]:
        self.too_early += problem_id in self.under_way
        self.under_way.add(problem_id)
        return asyncio.ensure_future(self._write(problem_id, decided))

    async def _write(self, problem_id: str, decided: Round) -> None:
        await asyncio.sleep(0.01)
        self.under_way.remove(problem_id)
        self.rounds.setdefault(problem_id, []).append(decided.index)


def write_two_steps(request: ProposalRequest) -> str:
    return " one\n### Step" if not request.steps else " so\n</think>\n\n\\boxed{0}"


async def decoded_with(journal: Kept, seen: Seen) -> tuple[list[Decoding], ScriptedEngine]:
    engine = ScriptedEngine(write_two_steps)
    ended = decode_problems(
        *(PROBLEMS, [Seat("a", engine, 0.6)], PredictivePerplexity(ScriptedEngine())),
        *(SearchSettings(width=1), 7, 3, seen),
        journal=journal,
    )
    return [done async for done in ended if isinstance(done, Decoding)], engine


async def test_no_round_counts_before_the_one_before_is_safe_in_the_journal() -> None:
    journal, seen = Kept(), Seen()
    done, _ = await decoded_with(journal, seen)
    assert journal.too_early == 0 and not journal.under_way
    assert journal.rounds == {p.id: [0, 1] for p in PROBLEMS}
    assert seen.rounds == 2 * len(PROBLEMS) and len(done) == len(PROBLEMS)


async def test_what_the_journal_knows_is_told_but_not_decoded_again() -> None:
    first, _ = await decoded_with(Kept(), Seen())
    known = {d.problem.id: Progress(d.trajectories[0].start_score, d.rounds[:1]) for d in first}
    recalled: list[str] = []

    class Recalls(Seen):
        def round_recalled(self, problem: Problem, decided: Round) -> None:
            recalled.append(problem.id)

    journal, seen = Kept(known), Recalls()
    again, engine = await decoded_with(journal, seen)
    assert sorted(recalled) == sorted(p.id for p in PROBLEMS)
    assert journal.rounds == {p.id: [1] for p in PROBLEMS}
    assert len(engine.requests) == len(PROBLEMS)
    by_id = {d.problem.id: d for d in first}
    assert all(d == by_id[d.problem.id] for d in again)
