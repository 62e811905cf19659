"""Meters tell how long a model was busy, however many requests were at work at once."""

from __future__ import annotations

import asyncio
import threading

import pytest
from doubles.scripted_engine import ScriptedEngine

from cord.engines import AnswerRequest, Proposal, ProposalRequest
from cord.engines.metering import ASKERS, ENGINES, AskedBy, Meter, MeteredEngine, Work
from cord.engines.seats import SeatedEngine, Seats
from cord.errors import EngineError

ASKING = ProposalRequest("q", (), "### Step 1.", (), 9, 0.0, 1)
SCORING = AnswerRequest("q", (), "", ("1",))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The meters' time, set by hand."""
    time = [0.0]
    monkeypatch.setattr("cord.engines.metering.time.monotonic", lambda: time[0])
    return time


def test_time_with_several_at_work_counts_once_and_idle_time_not_at_all(clock: list[float]) -> None:
    meter = Meter()
    for at, what in ((0, meter.begin), (2, meter.begin), (3, meter.end), (5, meter.end)):
        clock[0] = at
        what()
    clock[0] = 9
    assert meter.read() == Work(2, 5.0)
    meter.begin()
    clock[0] = 10
    assert meter.read() == Work(3, 6.0), "what is under way counts"


def test_a_meter_counts_over_threads() -> None:
    meter = Meter()

    def work() -> None:
        for _ in range(500):
            meter.begin()
            meter.end()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    idle = meter.read()
    assert idle.requests == 2000 and idle == meter.read()


class Gated(ScriptedEngine):
    """Answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()

    async def propose(self, request: ProposalRequest) -> Proposal:
        await self.may.wait()
        if request.question == "bad":
            raise EngineError("no")
        return await super().propose(request)


async def test_teachers_on_one_engine_are_told_apart_and_waiting_for_a_seat_is_not_counted(
    clock: list[float],
) -> None:
    engine = Gated()
    served = SeatedEngine(MeteredEngine(engine, "one engine"), Seats(1))
    first, second, judge = (AskedBy(served, n) for n in ("first", "second", "the judge"))
    asked = asyncio.create_task(first.propose(ASKING))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(second.propose(ASKING))
    await asyncio.sleep(0)
    clock[0] = 3
    assert ASKERS.read()["first"] == Work(1, 3.0)
    assert "second" not in ASKERS.read(), "it waits for a seat"
    engine.may.set()
    await asyncio.gather(asked, waiting)
    clock[0] = 4
    assert (await judge.answer_logprobs(SCORING)) == [(-0.5,)]
    assert await judge.prompt_tokens("1 2") == 2 and (await judge.describe()).scores
    assert ASKERS.read()["second"].requests == ASKERS.read()["the judge"].requests == 1
    assert ENGINES.read()["one engine"] == Work(3, 3.0)


async def test_a_request_that_fails_or_is_broken_off_is_over() -> None:
    engine = Gated()
    teacher = AskedBy(MeteredEngine(engine, "failing"), "failing")
    broken_off = asyncio.create_task(teacher.propose(ASKING))
    await asyncio.sleep(0)
    broken_off.cancel()
    engine.may.set()
    with pytest.raises(EngineError):
        await teacher.propose(ProposalRequest("bad", (), "", (), 9, 0.0, 1))
    await asyncio.gather(broken_off, return_exceptions=True)
    idle = ASKERS.read()["failing"]
    await asyncio.sleep(0.01)
    assert idle.requests == 2 and ASKERS.read()["failing"] == idle
