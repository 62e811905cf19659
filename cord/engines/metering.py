"""How long each model was busy: the time in which at least one request was at work on it.

    Seat ─> AskedBy("ada") ─> SeatedEngine (waits for a seat) ─> MeteredEngine ─> engine

The meter stands inside the seats, so that waiting for one is not counted; who asks is known only
outside, and travels with the task. Two teachers on one server are busy each in its own right, and
the server is busy while either is. A request that waits for a server that is away counts as at
work: from here it cannot be told from one that takes long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from cord.engines import AnswerRequest, Engine, Proposal, ProposalRequest
from cord.engines.wrapped import WrappedEngine

_asker: ContextVar[str] = ContextVar("asker", default="")


@dataclass(frozen=True, slots=True)
class Work:
    """What was asked of a model. Work adds up, where it was done one after another."""

    requests: int = 0
    seconds_busy: float = 0.0
    """In which at least one request was at work."""

    def __add__(self, other: Work) -> Work:
        return Work(self.requests + other.requests, self.seconds_busy + other.seconds_busy)

    def __sub__(self, earlier: Work) -> Work:
        return Work(self.requests - earlier.requests, self.seconds_busy - earlier.seconds_busy)


class Meter:
    """A clock that runs while anybody is at work. For any event loops and threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = 0
        self._at_work = 0
        self._since = 0.0
        self._busy_s = 0.0

    def begin(self) -> None:
        """A request begins."""
        with self._lock:
            if not self._at_work:
                self._since = time.monotonic()
            self._at_work += 1
            self._requests += 1

    def end(self) -> None:
        """A request that has begun is over, however it ended."""
        with self._lock:
            self._at_work -= 1
            if not self._at_work:
                self._busy_s += time.monotonic() - self._since

    def read(self) -> Work:
        """The work so far, what is under way included."""
        with self._lock:
            running = time.monotonic() - self._since if self._at_work else 0.0
            return Work(self._requests, self._busy_s + running)


class Meters:
    """A meter for each name, made when it is first asked for."""

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Meter:
        """The meter of this name."""
        with self._lock:
            return self._meters.setdefault(name, Meter())

    def read(self) -> Mapping[str, Work]:
        """Every meter's work so far."""
        with self._lock:
            meters = dict(self._meters)
        return {name: meter.read() for name, meter in meters.items()}


ASKERS = Meters()
"""This process's meters of who asks: teachers by name, and those that score."""
ENGINES = Meters()
"""This process's meters of the models themselves."""


@contextmanager
def at_work(meter: Meter) -> Iterator[None]:
    """A model is at work in this block: its meter runs, and that of who asks."""
    asker = _asker.get()
    meters = [meter, *([ASKERS.of(asker)] if asker else [])]
    for one in meters:
        one.begin()
    try:
        yield
    finally:
        for one in meters:
            one.end()


@contextmanager
def asked_by(name: str) -> Iterator[None]:
    """What is asked of any model in this block is entered under a name."""
    before = _asker.set(name)
    try:
        yield
    finally:
        _asker.reset(before)


class MeteredEngine(WrappedEngine):
    """An `Engine` that keeps the time of its proposals and scorings."""

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(engine)
        self._meter = ENGINES.of(name)

    def __repr__(self) -> str:
        return f"MeteredEngine({self.engine!r})"

    async def propose(self, request: ProposalRequest) -> Proposal:
        """As the engine itself."""
        with at_work(self._meter):
            return await super().propose(request)

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """As the engine itself."""
        with at_work(self._meter):
            return await super().answer_logprobs(request)


class AskedBy(WrappedEngine):
    """An `Engine` whose requests are entered under a name: a teacher's, or the meta-prover's."""

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(engine)
        self._name = name

    def __repr__(self) -> str:
        return f"AskedBy({self.engine!r}, {self._name!r})"

    async def propose(self, request: ProposalRequest) -> Proposal:
        """As the engine itself."""
        with asked_by(self._name):
            return await super().propose(request)

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """As the engine itself."""
        with asked_by(self._name):
            return await super().answer_logprobs(request)
