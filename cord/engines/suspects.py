"""Which problem takes its server down: found by asking for the suspects one at a time.

A prompt can kill its server, and kill it again whenever it comes back. Nobody sees which of all the
requests that were under way it was, so what the server's deaths have in common is counted:

1. A request is *there* when the server dies if it was sent and not answered, or was broken off and
   the server has answered nothing since. A death is a process that has ended, or an absence that no
   restart is quick enough for (`cord.engines.vllm.availability`); failures in between are none.
2. A problem that was there at `DEATHS` deaths running, or alone at one, is a *suspect*. While one
   waits, the server is asked one thing at a time, by the suspects first.
3. A problem one request of which was there alone at `DEATHS_ALONE` deaths, while others' were
   answered in between, is *found* (where nobody else asks, at twice as many): what it asks of this
   server fails from now on, so that it costs itself alone. That the others were there is
   forgotten.
4. A problem whose requests were all answered is no suspect any more. So a server that is restarted,
   moved or lost by itself is held against nobody: it would have to go at the very same requests,
   over and over.
5. A server that answers nothing between one problem that is found and the next dies of itself:
   after `FOUND_IN_A_ROW` of them nobody is accused, and it is lost as any other.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count

from cord.types import Problem

DEATHS = 2
DEATHS_ALONE = 2
FOUND_IN_A_ROW = 3

_problem: ContextVar[Problem | None] = ContextVar("problem", default=None)


@contextmanager
def asking_for(problem: Problem) -> Iterator[None]:
    """What is asked of any engine in this block, in whatever tasks, is asked for this problem."""
    before = _problem.set(problem)
    try:
        yield
    finally:
        _problem.reset(before)


@dataclass(eq=False, slots=True)
class Asked:
    """One request, from before it is sent until it is answered or given up."""

    problem: Problem | None
    """None where it is asked for none: such a request is never suspected."""
    tells: bool
    """That it is answered says something of its problem: the model itself was at work."""
    order: int
    ready: bool = False
    """It would be sent, and waits for its turn (and not for its next try)."""
    under_way: bool = False
    """It was sent, and is neither answered nor broken off."""
    there: bool = False
    """It would be there at a death."""


class Suspects:
    """The requests of one server, and who of them is suspected. For any event loops and threads."""

    def __init__(self, on_found: Callable[[], None] = lambda: None) -> None:
        """`on_found` is called when a problem is found out."""
        self._on_found = on_found
        self._lock = threading.Lock()
        self._arrivals = count()
        self._requests: set[Asked] = set()
        self._deaths = Counter[Problem | None]()
        """By problem, at how many it was there."""
        self._alone = Counter[Problem | None]()
        """By problem, at how many one request of its was all there was."""
        self._found: dict[Problem | None, str] = {}
        """By problem, what the server died of."""
        self._answers = 0
        """By which somebody's suspicion could end."""
        self._answers_before: dict[Problem, int] = {}
        """By problem, at the first death that it was there at."""
        self._in_a_row = 0
        self._dead = False
        self._in_doubt = False
        """Something was broken off since the server last answered."""

    @contextmanager
    def asking(self, tells: bool) -> Iterator[Asked]:
        """A request of this context's problem; it is over when the block is left."""
        with self._lock:
            asked = Asked(_problem.get(), tells, next(self._arrivals))
            self._requests.add(asked)
        try:
            yield asked
        finally:
            with self._lock:
                self._requests.discard(asked)

    def found(self, asked: Asked) -> str:
        """What the server died of as this request's problem was found out; "" where it was not."""
        return self._found.get(asked.problem, "")

    def begin(self, asked: Asked) -> bool:
        """Whether it may be sent now; if so, it counts as sent. Never where `found` tells why."""
        with self._lock:
            if asked.problem in self._found:
                return False
            asked.ready = True
            if (self._deaths or self._alone) and not self._has_its_turn(asked):
                return False
            asked.ready, asked.under_way, asked.there = False, True, True
            return True

    def broken_off(self, asked: Asked, unread: bool) -> None:
        """It failed. `unread`: the server never took it in."""
        with self._lock:
            asked.under_way = False
            asked.there = asked.there and not unread
            self._in_doubt = True

    def answered(self, asked: Asked) -> None:
        """It was answered, or refused for good."""
        with self._lock:
            self._requests.discard(asked)
            if not asked.tells:
                return
            self._answers += 1
            self._in_a_row, problem = 0, asked.problem
            if self._suspected(problem) and not any(r.problem == problem for r in self._requests):
                del self._deaths[problem], self._alone[problem]

    def alive(self) -> None:
        """The server has answered somebody: what was broken off before has not killed it."""
        with self._lock:
            if self._in_doubt:
                self._in_doubt = self._dead = False
                for asked in self._requests:
                    asked.there = asked.under_way

    def died(self, why: str) -> None:
        """The server is dead. Said as often as one likes until it answers again."""
        with self._lock:
            if self._dead:
                return
            self._dead = self._in_doubt = True
            there = [asked for asked in self._requests if asked.there]
            for asked in there:
                asked.under_way = asked.there = False
            for problem in {asked.problem for asked in there if asked.problem}:
                if not self._suspected(problem) and not self._deaths[problem]:
                    self._answers_before[problem] = self._answers
                self._deaths[problem] += 1
            if len(there) != 1 or (only := there[0].problem) is None:
                return
            self._alone[only] += 1
            works_else = self._answers > self._answers_before[only]
            needed = DEATHS_ALONE if works_else else 2 * DEATHS_ALONE
            if self._alone[only] < needed or self._in_a_row >= FOUND_IN_A_ROW:
                return
            self._in_a_row += 1
            self._found[only] = why
            self._deaths.clear()
            del self._alone[only]
        self._on_found()

    def _has_its_turn(self, asked: Asked) -> bool:
        waiting = [one for one in self._requests if one.ready and self._suspected(one.problem)]
        if not waiting:
            return True
        # Who was there alone comes last: does the server fare well with the others?
        turn = min(waiting, key=lambda one: (*self._place(one.problem), one.order))
        return asked is turn and not any(one.under_way for one in self._requests)

    def _place(self, problem: Problem | None) -> tuple[bool, int]:
        return self._alone[problem] > 0, -self._alone[problem]

    def _suspected(self, problem: Problem | None) -> bool:
        return self._deaths[problem] >= DEATHS or self._alone[problem] > 0


_shared: dict[str, Suspects] = {}
_shared_lock = threading.Lock()


def shared_suspects(server: str) -> Suspects:
    """The suspects of the server at this address, for everyone in this process."""
    with _shared_lock:
        return _shared.setdefault(server, Suspects())
