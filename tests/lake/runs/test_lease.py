"""A run is held by one process at a time, on every kind of store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cord.errors import RunHeld, RunLost
from cord.lake.runs.holder import Holder, this_process
from cord.lake.runs.lease import TERMS, Held, Leases
from cord.lake.stores.store import open_store

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONG = TERMS.ttl_s + TERMS.allowance_s


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def who(number: int) -> Holder:
    """A process on another machine."""
    return Holder(host=f"host-{number}", pid=1 + number, boot="b", pid_namespace="n", began=1)


def leases(uri: str, number: int, clock: Clock | None = None) -> Leases:
    """What process `number` sees of the run's leases."""
    return Leases(open_store(uri), "run", who(number), clock=clock or Clock())


def keys(uri: str) -> list[str]:
    return open_store(uri).list("runs/run/lease/")


def test_a_held_run_is_refused_with_who_holds_it_since_when_and_what_to_do(uri: str) -> None:
    leases(uri, 1).take()
    before = {key: open_store(uri).read(key) for key in keys(uri)}
    for ask in (leases(uri, 2).take, leases(uri, 2).refuse):
        with pytest.raises(RunHeld) as refused:
            ask()
        said = str(refused.value)
        assert "process 2 on host-1 since 2026-11-24 12:00:00 UTC" in said
        assert "holds until 2026-11-24 12:01:00 UTC" in said
        assert "`cord status run`" in said and "70 s" in said
        assert refused.value.exit_code == 1
    assert {key: open_store(uri).read(key) for key in keys(uri)} == before


def test_a_released_run_is_there_for_the_next_one_at_once(uri: str) -> None:
    first = leases(uri, 1)
    first.release(first.take())
    assert leases(uri, 2).living() is None
    assert leases(uri, 2).take().generation == 2
    assert keys(uri) == ["runs/run/lease/000002.json"], "older generations go"
    with pytest.raises(RunHeld):
        first.take()


def test_a_renewed_lease_outlives_its_first_expiry_and_an_abandoned_one_ends(uri: str) -> None:
    clock = Clock()
    mine, theirs = leases(uri, 1, clock), leases(uri, 2, clock)
    held = mine.take()
    for _ in range(10):
        clock.go_on(TERMS.renew_every_s)
        held = mine.renew(held)
    assert held.generation == 1
    clock.go_on(LONG - 1)
    with pytest.raises(RunHeld):
        theirs.take()
    assert theirs.living() is not None
    clock.go_on(1)
    assert theirs.living() is None
    assert theirs.take().generation == 2


def test_a_holder_that_was_overtaken_hears_by_whom(uri: str) -> None:
    clock = Clock()
    mine, theirs = leases(uri, 1, clock), leases(uri, 2, clock)
    held = mine.take()
    clock.go_on(LONG)
    taken = theirs.take()
    with pytest.raises(RunLost, match="taken over by process 3 on host-2 at 2026-11-24 12:01:10"):
        mine.renew(held)
    mine.release(held)
    assert theirs.renew(taken).generation == 2, "who lost it leaves it alone"


def test_a_suspended_holder_goes_on_if_nobody_has_taken_over(uri: str) -> None:
    clock = Clock()
    mine = leases(uri, 1, clock)
    held = mine.take()
    clock.go_on(3600)
    assert mine.renew(held).generation == 2
    with pytest.raises(RunHeld):
        leases(uri, 2, clock).take()


def test_a_lease_taken_out_of_the_lake_by_hand_is_lost(uri: str) -> None:
    mine = leases(uri, 1)
    held = mine.take()
    open_store(uri).delete(keys(uri))
    leases(uri, 2).take()
    with pytest.raises(RunLost, match="process 3 on host-2"):
        mine.renew(held)


def test_of_sixteen_racers_one_wins(uri: str) -> None:
    store = open_store(uri)
    racers = [Leases(store, "run", who(number), clock=Clock()) for number in range(16)]
    for generation in (1, 2, 3):
        start = threading.Barrier(16)

        def race(mine: Leases, start: threading.Barrier = start) -> Held | None:
            start.wait()
            try:
                return mine.take()
            except RunHeld:
                return None

        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(race, racers))
        (winner,) = [number for number, held in enumerate(won) if held is not None]
        held = won[winner]
        assert held is not None
        assert held.generation == generation
        racers[winner].release(held)


def test_a_dead_process_of_this_host_holds_nobody_up(uri: str) -> None:
    me = this_process()
    dead = me.model_copy(update={"began": (me.began or 0) + 1})
    if me.began is None:
        pytest.skip("needs Linux's /proc")
    Leases(open_store(uri), "run", dead).take()
    assert Leases(open_store(uri), "run", me).living() is None
    assert Leases(open_store(uri), "run", me).take().generation == 2


def test_a_put_that_was_repeated_unheard_knows_its_own_lease(uri: str) -> None:
    """boto3 asks again when an answer is lost; the second conditional put then meets the first."""
    store = open_store(uri)
    real = store.create

    def create_twice(key: str, data: bytes) -> bool:
        real(key, data)
        return real(key, data)

    store.create = create_twice  # type: ignore[method-assign]
    mine = Leases(store, "run", who(1), clock=Clock())
    assert mine.take().generation == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"holder": 1}', b"\xff\x00"])
def test_a_lease_that_cannot_be_understood_holds_nobody_up(tmp_path: Path, content: bytes) -> None:
    uri = str(tmp_path)
    open_store(uri).write("runs/run/lease/000004.json", content)
    assert leases(uri, 1).living() is None
    assert leases(uri, 1).take().generation == 5
    assert keys(uri) == ["runs/run/lease/000005.json"]


def test_runs_do_not_hold_each_other_up(uri: str) -> None:
    leases(uri, 1).take()
    assert Leases(open_store(uri), "run2", who(2)).take().generation == 1
