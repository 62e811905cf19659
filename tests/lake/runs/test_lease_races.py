"""However the requests of several processes are interleaved, no two hold a run at the same time.

Each process has a thread, which halts before and after each request to the store until it is let
go on; between, time passes, others go on, or it dies there. Each has a clock of its own, off by no
more than the allowance from any other's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.errors import RunHeld, RunLost
from cord.lake.runs.holder import Holder
from cord.lake.runs.lease import TERMS, Held, Lease, Leases

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PROCESSES = 3
HALF = TERMS.allowance_s / 2
Event = tuple[str, int, float]
"""What, which process, how much."""


class Killed(BaseException):
    """A process dies at this point."""


class Halting:
    """The shared store as one process sees it: it halts before and after each request."""

    def __init__(self, content: dict[str, bytes], halt: Callable[[], None]) -> None:
        self._content = content
        self._halt = halt

    def read(self, key: str) -> bytes | None:
        self._halt()
        return self._content.get(key)

    def write(self, key: str, data: bytes) -> None:
        self._halt()
        self._content[key] = data
        self._halt()

    def create(self, key: str, data: bytes) -> bool:
        self._halt()
        is_new = key not in self._content
        self._content.setdefault(key, data)
        self._halt()
        return is_new

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._halt()
            self._content.pop(key, None)

    def list(self, prefix: str = "") -> list[str]:
        self._halt()
        return sorted(key for key in self._content if key.startswith(prefix))


class Process:
    """One that carries the run out, or would like to."""

    def __init__(self, world: World, number: int, ahead_s: float) -> None:
        self._world = world
        self._ahead = timedelta(seconds=ahead_s)
        self._number = number
        self._go, self._halted = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._lives = 0
        self._start()

    def _start(self) -> None:
        """A new life: another process, on the same machine."""
        self._lives += 1
        self._is_killed = False
        self.held: Held | None = None
        self._me = Holder(host=f"host-{self._number}", pid=1, began=self._lives)
        self._leases = Leases(
            Halting(self._world.content, self._halt),  # type: ignore[arg-type]
            "run",
            self._me,
            clock=self.now,
            is_dead=lambda other: other.host == self._me.host and other != self._me,
        )

    def now(self) -> datetime:
        return self._world.now + self._ahead

    @property
    def believes(self) -> bool:
        """It goes on as the holder, without asking."""
        return self.held is not None and self.now() < self.held.lease.expires_at

    def go_on(self, halts: int, what: str = "hold") -> None:
        """Until it has halted so often, or is done; `what` to begin if it does nothing yet."""
        for _ in range(halts):
            if self._thread is None:
                self._thread = threading.Thread(target=self._do, args=(what,))
                self._thread.start()
            else:
                self._go.release()
            self._halted.acquire()
            if not self.is_busy:
                self._thread.join()
                self._thread = None
                return

    def die(self) -> None:
        self._is_killed = True
        if self._thread is not None:
            self._go.release()
            self._thread.join()
            self._thread = None
            self._halted = threading.Semaphore(0)
        self._start()

    def _halt(self) -> None:
        self._halted.release()
        self._go.acquire()
        if self._is_killed:
            raise Killed

    def _do(self, what: str) -> None:
        self.is_busy = True
        try:
            if what == "release" and self.held is not None:
                held, self.held = self.held, None  # it stops first
                self._leases.release(held)
            elif self.held is None:
                self.held = self._leases.take()
            else:
                self.held = self._leases.renew(self.held)
        except (RunHeld, RunLost, Killed):
            self.held = None
        finally:
            self.is_busy = False
            self._halted.release()


class World:
    """Processes, what they share, and the true time."""

    def __init__(self, ahead: list[float]) -> None:
        self.now = NOON
        self.content: dict[str, bytes] = {}
        self.processes = [Process(self, number, s) for number, s in enumerate(ahead)]
        self.holders: list[int] = []

    def play(self, script: Iterable[Event]) -> None:
        for what, which, how_much in script:
            if what == "time":
                self.now += timedelta(seconds=how_much)
            elif what == "die":
                self.processes[which].die()
            else:
                self.processes[which].go_on(int(how_much), what)
            holding = [number for number, p in enumerate(self.processes) if p.believes]
            assert len(holding) <= 1, f"{holding} hold the run at once"
            if holding and holding != self.holders[-1:]:
                self.holders += holding

    def end(self) -> None:
        for process in self.processes:
            process.die()


WHICH = st.integers(0, PROCESSES - 1)
STEPS = st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0, 20.0])
EVENTS = st.one_of(
    st.tuples(st.just("hold"), WHICH, STEPS),
    st.tuples(st.just("hold"), WHICH, STEPS),
    st.tuples(st.just("time"), st.just(0), st.sampled_from([1.0, 14.0, 46.0, 59.0, 71.0, 200.0])),
    st.tuples(st.sampled_from(["release", "die"]), WHICH, STEPS),
)
CLOCKS = st.lists(st.floats(-HALF, HALF), min_size=PROCESSES, max_size=PROCESSES)


@settings(max_examples=1500)
@given(st.lists(EVENTS, max_size=60), CLOCKS)
def test_no_two_processes_hold_a_run_at_once(script: list[Event], ahead: list[float]) -> None:
    world = World(ahead)
    try:
        world.play(script)
        # Whatever has happened, whoever asks last gets it in the end, and nothing else is left.
        world.end()
        world.play([("time", 0, TERMS.ttl_s + 2 * TERMS.allowance_s), ("hold", 0, 100.0)])
        assert world.processes[0].believes
        latest = world.content[max(world.content)]
        assert Lease.model_validate_json(latest).holder.host == "host-0"
    finally:
        world.end()


@pytest.mark.parametrize(
    ("script", "holders"),
    [
        (  # 0 looks and hangs; 1 finds it expired; 0 writes; 1 takes over
            "hold 0 100, time 0 59, hold 0 3, time 0 14, hold 1 3, hold 0 100, hold 1 100",
            [0],
        ),
        (  # 1 wants the second generation and hangs; 2 has made it, released it, made the third
            "hold 0 100, time 0 71, hold 1 3, hold 2 100, release 2 100, hold 2 100, hold 1 100",
            [0, 2],
        ),
    ],
    ids=["a renewal that hangs", "a generation that is over"],
)
def test_who_comes_too_late_does_not_hold_it(script: str, holders: list[int]) -> None:
    world = World([0.0] * PROCESSES)
    try:
        world.play(
            (what, int(which), float(how_much))
            for what, which, how_much in (event.split() for event in script.split(", "))
        )
        assert world.holders[: len(holders)] == holders
        assert not world.processes[1].believes
    finally:
        world.end()
