"""Seats in one loop by hand, then random crowds in several loops."""

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from doubles.scripted_engine import ScriptedEngine
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.engines import AnswerRequest, Proposal, ProposalRequest
from cord.engines.seats import SeatedEngine, Seats, shared_seats
from cord.engines.vllm.availability import Patience
from cord.ensemble import open_engine
from cord.recipe import Model


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def in_line(seats: Seats, served: list[str]) -> Callable[[str, int], asyncio.Task[None]]:
    """Starts a task that takes a seat, notes its name and leaves."""

    async def come(name: str, urgency: int) -> None:
        await seats.take(urgency)
        served.append(name)
        seats.leave()

    return lambda name, urgency: asyncio.create_task(come(name, urgency), name=name)


async def test_the_laggards_go_first_then_who_came_first() -> None:
    seats, served = Seats(1), list[str]()
    await seats.take()
    come = in_line(seats, served)
    tasks = [come("far ahead", 9), come("first", 2), come("second", 2), come("laggard", 0)]
    await settle()
    seats.leave()
    await asyncio.gather(*tasks)
    assert served == ["laggard", "first", "second", "far ahead"]
    assert (seats.taken, seats.waiting) == (0, 0)


async def test_who_comes_while_others_wait_does_not_slip_in() -> None:
    seats, served = Seats(1), list[str]()
    await seats.take()
    come = in_line(seats, served)
    waiting = come("waiting", 1)
    await settle()
    seats.leave()  # the seat is the waiting one's from here, though it has not run yet
    late = come("late", 0)
    await asyncio.gather(waiting, late)
    assert served == ["waiting", "late"]


async def test_one_who_is_cancelled_while_it_waits_takes_no_seat_with_it() -> None:
    seats, served = Seats(1), list[str]()
    await seats.take()
    come = in_line(seats, served)
    gone, stays = come("gone", 0), come("stays", 1)
    await settle()
    gone.cancel()
    await settle()
    seats.leave()
    await stays
    assert served == ["stays"]
    assert (seats.taken, seats.waiting) == (0, 0)


async def test_one_who_is_cancelled_with_a_seat_on_its_way_passes_it_on() -> None:
    seats, served = Seats(1), list[str]()
    await seats.take()
    come = in_line(seats, served)
    gone, stays = come("gone", 0), come("stays", 1)
    await settle()
    seats.leave()
    gone.cancel()
    await stays
    assert served == ["stays"]
    assert (seats.taken, seats.waiting) == (0, 0)


async def test_more_seats_are_there_at_once() -> None:
    seats, served = Seats(1), list[str]()
    await seats.take()
    task = in_line(seats, served)("waiting", 0)
    await settle()
    seats.widen(2)
    await task
    seats.widen(1)
    assert (seats.number, seats.taken) == (2, 1), "seats never become fewer"


async def test_a_loop_that_was_closed_under_its_tasks_keeps_no_seat() -> None:
    seats = Seats(1)
    await seats.take()

    def another_thread() -> None:
        loop = asyncio.new_event_loop()
        waiting = loop.create_task(seats.take())
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        assert not waiting.done()

    await asyncio.to_thread(another_thread)
    assert seats.waiting == 1
    seats.leave()
    gc.collect()
    assert (seats.taken, seats.waiting) == (0, 0)


def test_without_a_seat_nobody_could_ever_sit() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Seats(0)


def test_one_name_one_set_of_seats_as_many_as_the_largest_number() -> None:
    first = shared_seats("http://tests/v1", 3)
    assert shared_seats("http://tests/v1", 5) is first
    assert shared_seats("http://tests/v1", 2).number == 5
    assert shared_seats("http://others/v1", 2) is not first


def test_entries_of_a_recipe_that_share_a_server_share_its_seats(tmp_path: Path) -> None:
    def opened(name: str, seats: int, url: str = "http://127.0.0.1:9/v1") -> SeatedEngine:
        engine = open_engine(
            Model(model=name, url=url, seats=seats), "Think.", tmp_path, Patience()
        )
        assert isinstance(engine, SeatedEngine)
        return engine

    first = opened("seats/one", 4)
    assert opened("seats/two", 9, "http://127.0.0.1:9/v1/").seats is first.seats
    assert opened("seats/one", 6) is first
    assert first.seats.number == 9


class Counting(ScriptedEngine):
    """Counts who is at work, proposals and scorings together; fails on question "bad"."""

    def __init__(self) -> None:
        super().__init__(jitter=True)
        self.at_work = self.most = 0

    async def _count(self, work: Awaitable[object]) -> object:
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        try:
            return await work
        finally:
            self.at_work -= 1

    async def propose(self, request: ProposalRequest) -> Proposal:
        if request.question == "bad":
            raise RuntimeError("a failing engine")
        return await self._count(super().propose(request))  # type: ignore[return-value]

    async def answer_logprobs(self, request: AnswerRequest) -> list[tuple[float, ...]]:
        return await self._count(super().answer_logprobs(request))  # type: ignore[return-value]


async def test_proposals_and_scorings_share_a_servers_seats_and_failures_give_them_back() -> None:
    behind, seats = Counting(), Seats(3)
    engine = SeatedEngine(behind, seats)

    def proposal(question: str) -> ProposalRequest:
        return ProposalRequest(question, (), "", (), 9, 0.6, seed=1)

    scoring = AnswerRequest("q", (), "", ("1",))
    results = await asyncio.gather(
        *(engine.propose(proposal("good")) for _ in range(8)),
        *(engine.propose(proposal("bad")) for _ in range(8)),
        *(engine.answer_logprobs(scoring) for _ in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, RuntimeError) for result in results) == 8
    assert behind.most == 3
    assert (seats.taken, seats.waiting) == (0, 0)
    assert (await engine.describe()).model == "scripted"
    assert await engine.prompt_tokens("one two") == 2


class Crowd:
    """Members of one loop who take a seat, stay a while and leave; some are sent away."""

    def __init__(self, seats: Seats) -> None:
        self.seats = seats
        self.lock = threading.Lock()
        self.at_work = self.most = self.served = 0

    async def member(self, urgency: int, stay: int) -> None:
        await self.seats.take(urgency)
        try:
            with self.lock:
                self.at_work += 1
                self.most = max(self.most, self.at_work)
            for _ in range(stay):
                await asyncio.sleep(0)
            with self.lock:
                self.served += 1
        finally:
            with self.lock:
                self.at_work -= 1
            self.seats.leave()

    async def run(self, plan: list[tuple[int, int, int | None]]) -> None:
        """(urgency, turns to stay, turns until it is sent away or None) of each member."""

        async def send_away(task: asyncio.Task[None], turns: int) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()

        tasks = [asyncio.create_task(self.member(urgency, stay)) for urgency, stay, _ in plan]
        senders = [
            asyncio.create_task(send_away(task, turns))
            for task, (_, _, turns) in zip(tasks, plan, strict=True)
            if turns is not None
        ]
        await asyncio.wait_for(asyncio.gather(*tasks, *senders, return_exceptions=True), 60)


members = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.none() | st.integers(0, 12)), max_size=12
)


@settings(max_examples=60)
@given(st.integers(1, 4), st.lists(members, min_size=1, max_size=3))
def test_in_any_crowd_of_any_loops_no_seat_is_doubled_lost_or_kept_from_who_waits(
    number: int, plans: list[list[tuple[int, int, int | None]]]
) -> None:
    seats = Seats(number)
    crowd = Crowd(seats)
    threads = [
        threading.Thread(target=lambda plan=plan: asyncio.run(crowd.run(plan))) for plan in plans
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    assert crowd.most <= number
    assert (seats.taken, seats.waiting, crowd.at_work) == (0, 0, 0)
    stayed = sum(turns is None for plan in plans for _, _, turns in plan)
    assert crowd.served >= stayed, "who was not sent away was served"
