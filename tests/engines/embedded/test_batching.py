import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from cord.engines.embedded.batching import Batcher, Ticket
from cord.errors import EngineError


class Doubling:
    """Doubles numbers; waits at the gate before each batch; refuses 13."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[int]] = []

    def run(self, tickets: Sequence[Ticket[int, int]]) -> None:
        self.gate.wait(5)
        self.batches.append([ticket.job for ticket in tickets])
        for ticket in tickets:
            if ticket.job == 13:
                ticket.failed(EngineError("unlucky"))
            elif ticket.job == 666:
                raise ZeroDivisionError("the work itself is broken")
            else:
                ticket.done(2 * ticket.job)


@pytest.fixture
def doubling() -> Doubling:
    return Doubling()


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    batcher = Batcher("test", limit=8)
    yield batcher
    batcher.close()


async def double(batcher: Batcher, work: Doubling, number: int) -> int:
    return await asyncio.wrap_future(batcher.submit(work.run, number))


def test_callers_in_several_event_loops_each_get_their_own(
    batcher: Batcher, doubling: Doubling
) -> None:
    async def ask(base: int) -> list[int]:
        numbers = range(1000 + base, 1020 + base)
        return await asyncio.gather(*[double(batcher, doubling, number) for number in numbers])

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda base: asyncio.run(ask(base)), range(0, 400, 100)))
    for base, result in zip(range(0, 400, 100), results, strict=True):
        assert result == [2 * number for number in range(1000 + base, 1020 + base)]
    assert max(map(len, doubling.batches)) <= 8
    assert len(doubling.batches) < 80


async def test_one_failure_is_one_callers_failure(batcher: Batcher, doubling: Doubling) -> None:
    results = await asyncio.gather(
        *[double(batcher, doubling, number) for number in (1, 13, 2)], return_exceptions=True
    )
    assert results[0] == 2 and results[2] == 4
    assert str(results[1]) == "unlucky"


async def test_who_breaks_the_work_of_a_batch_costs_none_of_its_company(
    batcher: Batcher, doubling: Doubling
) -> None:
    doubling.gate.clear()
    asked = [asyncio.ensure_future(double(batcher, doubling, n)) for n in (1, 2, 666, 3, 4)]
    await asyncio.sleep(0.05)
    doubling.gate.set()
    *well, broken = await asyncio.gather(
        *asked, double(batcher, doubling, 666), return_exceptions=True
    )
    assert [one for one in well if isinstance(one, int)] == [2, 4, 6, 8]
    assert isinstance(well[2], EngineError) and isinstance(broken, EngineError)
    assert "ZeroDivisionError: the work itself is broken" in str(well[2])


async def test_broken_work_fails_its_batch_in_words_and_not_the_next(
    batcher: Batcher, doubling: Doubling
) -> None:
    with pytest.raises(EngineError, match="ZeroDivisionError: the work itself is broken"):
        await double(batcher, doubling, 666)
    assert await double(batcher, doubling, 4) == 8


async def test_a_caller_who_leaves_costs_nothing_more(batcher: Batcher, doubling: Doubling) -> None:
    doubling.gate.clear()
    first = asyncio.create_task(double(batcher, doubling, 1))
    await asyncio.sleep(0.05)  # it is under way now, at the gate
    second = asyncio.create_task(double(batcher, doubling, 2))
    third = asyncio.create_task(double(batcher, doubling, 3))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.sleep(0)
    doubling.gate.set()
    assert await third == 6
    assert doubling.batches == [[1], [3]]


async def test_different_work_is_not_mixed(batcher: Batcher) -> None:
    one, other = Doubling(), Doubling()
    await asyncio.gather(*[double(batcher, work, n) for n in range(3) for work in (one, other)])
    assert sorted(n for batch in one.batches for n in batch) == [0, 1, 2]
    assert sorted(n for batch in other.batches for n in batch) == [0, 1, 2]


async def test_closing_fails_what_waits_and_what_comes(doubling: Doubling) -> None:
    batcher = Batcher("test", limit=1)
    doubling.gate.clear()
    open_requests = [asyncio.create_task(double(batcher, doubling, n)) for n in (1, 2)]
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(asyncio.to_thread(batcher.close))
    for request in open_requests:
        with pytest.raises(EngineError, match="closed while"):
            await request
    doubling.gate.set()
    await closing
    with pytest.raises(EngineError, match="is closed"):
        batcher.submit(doubling.run, 3)
    batcher.close()


def test_the_thread_ends_with_the_last_reference(doubling: Doubling) -> None:
    batcher = Batcher("forgotten", limit=1)
    assert batcher.submit(doubling.run, 2).result(5) == 4
    thread = next(t for t in threading.enumerate() if t.name == "forgotten")
    del batcher
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


def test_a_program_that_forgets_to_close_still_ends() -> None:
    program = (
        "from cord.engines.embedded.batching import Batcher\n"
        "batcher = Batcher('b', 1)\n"
        "print(batcher.submit(lambda tickets: [t.done(1) for t in tickets], 0).result(5))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n", b"")
