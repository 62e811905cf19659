"""The problems of a run that are at work: how many at once, and who of them lags behind.

All shards of a run share its places. A round's urgency says how far its problem has come, so that
laggards go first where requests wait (`cord.engines.seats`). Counted from the problem's own first
round, that would put every new problem in front of all that are at work: they would bring each
other to a halt, move as one herd, and finish and leave the engines idle together. So a problem
that begins stands where the others are on average (`benchmarks.scheduler` prints the difference).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from cord.engines.seats import Seats


class Pace:
    """How far one problem has come, beside the others."""

    def __init__(self, urgency: int) -> None:
        self.urgency = urgency
        """Of its next round."""


class InFlight(Seats):
    """Places for problems, and the pace of those at work."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._paces: set[Pace] = set()
        self._total = 0  # of their urgencies
        self._pace_lock = threading.Lock()

    @contextmanager
    def pace(self) -> Iterator[Pace]:
        """A problem begins in the midst of those at work, and ends when this is left."""
        with self._pace_lock:
            pace = Pace(round(self._total / len(self._paces)) if self._paces else 0)
            self._paces.add(pace)
            self._total += pace.urgency
        try:
            yield pace
        finally:
            with self._pace_lock:
                self._paces.remove(pace)
                self._total -= pace.urgency

    def go_on(self, pace: Pace) -> None:
        """A problem has come one round further."""
        with self._pace_lock:
            pace.urgency += 1
            self._total += 1


# A process may carry out thousands of runs: places that no shard holds any more are forgotten.
_runs: WeakValueDictionary[str, InFlight] = WeakValueDictionary()
_lock = threading.Lock()


def in_flight_of(run_id: str, number: int) -> InFlight:
    """The places of a run, which all its shards in this process share."""
    with _lock:
        places = _runs.setdefault(run_id, InFlight(number))
    places.widen(number)
    return places
