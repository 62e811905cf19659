import threading

import pytest

from cord.engines.vllm import availability
from cord.engines.vllm.availability import Availability, Patience


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """Time that only the test moves."""
    clock = Clock()
    monkeypatch.setattr(availability, "time", clock)
    return clock


def look_in_vain(there: Availability, clock: Clock, patience_s: float) -> None:
    """Wait for the next look, and fail at it."""
    while not there.begin_look(patience_s):
        clock.now += 0.1
    there.end_look("still away")


def test_a_server_is_in_doubt_from_a_failure_to_the_next_answer(clock):
    there = Availability(Patience())
    assert not there.in_doubt
    there.failed("no", away=True)
    assert there.in_doubt and there.reason == "no"
    there.answered()
    assert not there.in_doubt


def test_it_is_lost_when_looks_have_failed_for_as_long_as_the_patience_lasts(clock):
    there = Availability(Patience())
    there.failed("no", away=True)
    began = clock.now
    while not there.lost(60.0):
        look_in_vain(there, clock, 60.0)
    assert 60.0 <= clock.now - began < 61.0, "the last look is at the deadline, not after it"
    assert not there.lost(3600.0), "who has more patience goes on waiting"


def test_time_alone_loses_nobody(clock):
    there = Availability(Patience())
    there.failed("no", away=True)
    clock.now += 50_000.0
    assert not there.lost(60.0)
    look_in_vain(there, clock, 60.0)
    assert not there.lost(60.0), "an old doubt that nobody looked into begins anew"


def test_a_lost_server_stays_lost_however_seldom_it_is_asked(clock):
    there = Availability(Patience())
    there.failed("no", away=True)
    while not there.lost(60.0):
        look_in_vain(there, clock, 60.0)
    clock.now += 50_000.0
    look_in_vain(there, clock, 60.0)
    assert there.lost(60.0)
    there.answered()
    there.failed("again", away=True)
    assert not there.lost(60.0), "a new absence has its own deadline"


def test_one_looks_at_a_time_and_each_look_is_later_than_the_one_before(clock):
    there = Availability(Patience(first_wait_s=1.0, longest_wait_s=8.0))
    there.failed("no", away=True)
    gaps, last = [], clock.now
    for _ in range(8):
        look_in_vain(there, clock, 1e9)
        gaps.append(clock.now - last)
        last = clock.now
    assert gaps[0] < 1.7 and all(gap < 12.2 for gap in gaps)
    assert min(gaps[-4:]) >= 4.0, "growing, and jittered by half"


def test_of_many_threads_one_looks(clock):
    there = Availability(Patience(first_wait_s=0.0))
    there.failed("no", away=True)
    looks: list[bool] = []
    threads = [
        threading.Thread(target=lambda: looks.append(there.begin_look(60.0))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(looks) == [False] * 15 + [True]


def test_a_look_that_never_ends_is_taken_over(clock):
    patience = Patience(first_wait_s=0.0)
    there = Availability(patience)
    there.failed("no", away=True)
    assert there.begin_look(60.0)
    assert not there.begin_look(60.0)
    clock.now += patience.look_s + patience.connect_s
    assert there.begin_look(60.0)


def test_a_server_that_asks_for_time_is_given_it(clock):
    there = Availability(Patience())
    there.failed("busy", away=True, wait_s=20.0)
    clock.now += 19.0
    assert not there.begin_look(60.0)
    clock.now += 1.0
    assert there.begin_look(60.0)


def test_it_has_died_when_it_was_away_for_so_long_and_a_look_is_made_just_then(clock):
    there = Availability(Patience(first_wait_s=100.0, death_s=5.0))
    there.failed("no", away=True)
    began = clock.now
    assert not there.dead(3600.0)
    look_in_vain(there, clock, 3600.0)
    assert there.dead(3600.0) and not there.lost(3600.0)
    assert 5.0 <= clock.now - began < 5.2
    there.answered()
    assert not there.dead(3600.0)


def test_for_who_has_less_patience_than_that_a_lost_server_is_a_dead_one(clock):
    there = Availability(Patience(death_s=5.0))
    there.failed("no", away=True)
    while not there.lost(1.0):
        look_in_vain(there, clock, 1.0)
    assert there.dead(1.0) and not there.dead(3600.0)
