"""Seats: at most so many requests are at work on one server; the laggards go first.

A server that is handed everything at once serves first what came first, and a problem that is
rounds behind waits behind problems that are rounds ahead. So requests wait here instead, and a
free seat goes to the most urgent one (`urgency`: the round, the lower the sooner), then to the one
that has waited longest. The problems of a run take such seats too (`cord.in_flight`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import count

from cord.engines import AnswerRequest, Engine, Proposal, ProposalRequest
from cord.engines.wrapped import WrappedEngine


class _Waiter:
    """One who waits, in some event loop of some thread."""

    __slots__ = ("called", "future", "loop", "seated")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()
        self.seated = False
        """A seat is its own, whether it knows already or not. Read and written under the lock."""

    def call(self) -> None:
        """Wake it up, from whatever thread. Raises RuntimeError when its loop is closed."""
        if asyncio._get_running_loop() is self.loop:
            self._wake()
        else:
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self.future.done():  # its task may be cancelled by now, and gives the seat back
            self.future.set_result(None)


class Seats:
    """A number of seats, for tasks in any event loops and threads.

    A seat that is taken must be left again, exactly once. A task that is cancelled while it waits
    has no seat, even if one was on its way."""

    def __init__(self, number: int) -> None:
        if number < 1:
            raise ValueError(f"at least one seat, not {number}")
        self._number = number
        self._taken = 0
        self._waiting: list[tuple[int, int, _Waiter]] = []  # a heap
        self._arrivals = count()
        self._lock = threading.Lock()

    @property
    def number(self) -> int:
        """How many there are."""
        return self._number

    @property
    def taken(self) -> int:
        """How many are taken now."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    def widen(self, number: int) -> None:
        """Have at least `number` seats from now on."""
        with self._lock:
            self._number = max(self._number, number)
        self._call_next()

    async def take(self, urgency: int = 0) -> None:
        """Wait for a seat, the lower `urgency` first, then in the order of arrival."""
        with self._lock:
            if self._taken < self._number:  # then nobody waits
                self._taken += 1
                return
            waiter = _Waiter()
            entry = (urgency, next(self._arrivals), waiter)
            heappush(self._waiting, entry)
        try:
            await waiter.future
        except BaseException:
            with self._lock:
                seated = waiter.seated
                if not seated and entry in self._waiting:
                    self._waiting.remove(entry)
                    heapify(self._waiting)
            if seated:
                self.leave()
            raise

    def leave(self) -> None:
        """Give a seat back; it goes to the next who waits."""
        self._call_next(left=1)

    def _call_next(self, left: int = 0) -> None:
        while True:
            # In one go: nobody who has just come may slip in between.
            with self._lock:
                self._taken -= left
                if not self._waiting or self._taken >= self._number:
                    return
                _, _, waiter = heappop(self._waiting)
                waiter.seated = True
                self._taken += 1
            try:
                waiter.call()
                left = 0
            except RuntimeError:  # its loop was closed under it
                waiter.seated = False
                left = 1


class SeatedEngine(WrappedEngine):
    """An `Engine` whose proposals and scorings each take a seat while they are at work."""

    def __init__(self, engine: Engine, seats: Seats) -> None:
        super().__init__(engine)
        self.seats = seats

    def __repr__(self) -> str:
        return f"SeatedEngine({self.engine!r}, {self.seats.number} seats)"

    async def propose(self, request: ProposalRequest) -> Proposal:
        """As the engine itself, once there is a seat."""
        await self.seats.take(request.urgency)
        try:
            return await super().propose(request)
        finally:
            self.seats.leave()

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """As the engine itself, once there is a seat."""
        await self.seats.take(request.urgency)
        try:
            return await super().answer_logprobs(request)
        finally:
            self.seats.leave()


_shared: dict[str, Seats] = {}
_lock = threading.Lock()


def shared_seats(name: str, number: int) -> Seats:
    """The seats that everyone in this process who gives this name (a server's url) shares.

    Who asks for more than there are gets more for all."""
    with _lock:
        seats = _shared.setdefault(name, Seats(number))
    seats.widen(number)
    return seats
