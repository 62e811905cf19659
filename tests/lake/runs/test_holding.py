"""A process holds its run in the background, and hears when it does so no more."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from s3_server import S3Server

from benchmarks.chaos.servers import free_port
from cord.errors import RunHeld, RunLost
from cord.lake import Lake, open_lake
from cord.lake.runs.holder import Holder
from cord.lake.runs.holding import Hold, refuse_if_held, take_hold
from cord.lake.runs.lease import Lease, Leases, Terms

QUICK = Terms(ttl_s=4.0, renew_every_s=0.2, allowance_s=0.5)
ELSEWHERE = Holder(host="elsewhere", pid=7)


def unheard() -> None:
    raise AssertionError("it was lost")


def wait_until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def another(lake: Lake, terms: Terms = QUICK) -> Leases:
    """What a process on another machine sees."""
    return Leases(lake.store, "run", ELSEWHERE, terms)


def living(lake: Lake) -> Lease:
    lease = another(lake).living()
    assert lease is not None
    return lease


def test_a_hold_outlives_its_first_expiry_by_far_and_ends_when_it_is_let_go(
    folder_lake: Lake,
) -> None:
    hold = take_hold(folder_lake, "run", unheard, QUICK)
    first = living(folder_lake)
    wait_until(lambda: living(folder_lake).renewed_at > first.expires_at)
    with pytest.raises(RunHeld):
        another(folder_lake).take()
    hold.close()
    assert another(folder_lake).living() is None
    assert another(folder_lake).take().generation == 2


def test_a_process_that_holds_a_run_may_hold_it_again(folder_lake: Lake) -> None:
    outer = take_hold(folder_lake, "run", unheard)
    inner = take_hold(folder_lake, "run", unheard)
    refuse_if_held(folder_lake, "run")
    assert inner is outer
    inner.close()
    with pytest.raises(RunHeld):
        another(folder_lake).take()
    outer.close()
    another(folder_lake).take()
    with pytest.raises(RunHeld):
        refuse_if_held(folder_lake, "run")
    with pytest.raises(RunHeld):
        take_hold(folder_lake, "run", unheard)


def test_of_sixteen_threads_of_a_process_all_share_one_hold(folder_lake: Lake) -> None:
    holds: list[Hold] = []
    threads = [
        threading.Thread(target=lambda: holds.append(take_hold(folder_lake, "run", unheard)))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, holds))) == 1
    for hold in holds:
        assert another(folder_lake).living() is not None
        hold.close()
    assert another(folder_lake).living() is None


def test_who_is_overtaken_hears_of_it_and_touches_nothing_any_more(folder_lake: Lake) -> None:
    lost = threading.Event()
    hold = take_hold(folder_lake, "run", lost.set, QUICK)
    now = datetime.now(UTC)
    until = now + timedelta(hours=1)
    theirs = Lease(holder=ELSEWHERE, nonce="n", taken_at=now, renewed_at=now, expires_at=until)
    key = "runs/run/lease/000002.json"
    assert folder_lake.store.create(key, theirs.model_dump_json().encode())
    assert lost.wait(10)
    assert hold.lost is not None
    assert "taken over by process 7 on elsewhere" in hold.lost
    with pytest.raises(RunLost, match="taken over by process 7 on elsewhere"):
        take_hold(folder_lake, "run", unheard)
    hold.close()
    assert folder_lake.store.read(key) == theirs.model_dump_json().encode()
    with pytest.raises(RunHeld):
        take_hold(folder_lake, "run", unheard)


@pytest.fixture
def s3_process(
    use_s3: Callable[[S3Server], str],
) -> Iterator[tuple[subprocess.Popen[bytes], Lake]]:
    """An S3 server of this test's own, and a lake on it."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        with socket.socket() as knock:
            return knock.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers, 60)
        server = S3Server(f"http://127.0.0.1:{port}", "moto-key", "moto-secret")
        yield process, open_lake(use_s3(server), create=True)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL], ids=["hangs", "is gone"])
def test_a_lake_that_is_away_for_longer_than_the_lease_holds_loses_the_run(
    s3_process: tuple[subprocess.Popen[bytes], Lake], how: signal.Signals
) -> None:
    server, lake = s3_process
    lost = threading.Event()
    hold = take_hold(lake, "run", lost.set, QUICK)
    wait_until(lambda: living(lake).renewed_at > living(lake).taken_at)
    os.kill(server.pid, how)
    begun = time.monotonic()
    assert lost.wait(15)
    assert time.monotonic() - begun < 9, "whoever asks it for longer is not waited for"
    assert hold.lost is not None
    assert "the lease of run run could not be renewed since" in hold.lost
    assert "`cord resume run` goes on when the lake is back" in hold.lost
    hold.close()


def test_a_lake_that_is_away_for_a_moment_loses_nothing(
    s3_process: tuple[subprocess.Popen[bytes], Lake],
) -> None:
    server, lake = s3_process
    patient = Terms(ttl_s=20.0, renew_every_s=0.2, allowance_s=0.5)
    hold = take_hold(lake, "run", unheard, patient)
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(server.pid, signal.SIGCONT)
    back = datetime.now(UTC)
    wait_until(lambda: living(lake).renewed_at > back)
    hold.close()
    assert hold.lost is None
    assert another(lake).living() is None


def test_a_child_of_a_fork_holds_nothing(folder_lake: Lake) -> None:
    hold = take_hold(folder_lake, "run", unheard)
    child = os.fork()
    if child == 0:
        try:
            take_hold(folder_lake, "run", unheard)
        except RunHeld:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    hold.close()
