"""Servers die and are stopped: started again, given up, and nothing is left of them."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from engines.managed.a_server import Told, are_gone, runs, serving, until

from cord.engines.managed.keeper import VllmKeeper
from cord.errors import EngineUnreachable


async def test_a_server_that_dies_is_started_again_where_it_was(program):
    started = program("die", "serve")
    told = Told(serving(), 0.01)
    await told.keeper.up()
    await until(lambda: len(told.urls) == 2)
    assert told.urls[0] == told.urls[1] and told.given_up == []
    await told.keeper.up()
    assert len(started.starts) == 2


async def test_one_that_dies_again_and_again_is_given_up_with_the_reason(program):
    started = program("die")
    told = Told(serving(), 0.01, 0.02)
    await told.keeper.up()
    await until(lambda: told.given_up != [])
    assert "OutOfMemoryError: CUDA out of memory" in told.given_up[0]
    with pytest.raises(EngineUnreachable, match="was started again 2 times"):
        await told.keeper.up()
    assert len(started.starts) == 3


async def test_deaths_that_are_forgiven_do_not_count(program):
    started = program("die")
    told: list[str] = []

    def died(why: str) -> None:
        told.append(why)
        if len(told) == 2:
            keeper.forgive()

    keeper = VllmKeeper(serving(), print, told.append, died, restart_waits_s=(0.01, 0.01))
    await keeper.up()
    await until(lambda: "was started again 2 times" in "".join(told))
    assert all("CUDA out of memory" in why for why in told)
    assert len(started.starts) == 4


async def test_a_supervisor_that_is_killed_takes_its_server_along(program):
    started = program("serve")
    told = Told(serving())
    await told.keeper.up()
    server, worker = started.starts[0]["pids"]
    os.kill(os.getpgid(server), signal.SIGKILL)  # it leads the group
    assert await asyncio.to_thread(are_gone, [server])
    os.kill(worker, signal.SIGKILL)  # in a session of its own: nobody is left who could know of it


async def test_a_stopped_server_leaves_nothing_and_may_be_started_again(program, tmp_path):
    started = program("serve")
    told = Told(serving())
    for _ in range(2):
        await told.keeper.up()
        await asyncio.to_thread(told.keeper.stop)
        assert are_gone([pid for start in started.starts for pid in start["pids"]], 0)
        assert list(tmp_path.glob("cord-vllm-*")) == []
    assert len(started.starts) == 2


START = """
import asyncio, sys, time
from pathlib import Path
from cord.engines.managed import process
from cord.engines.managed.serving import serving_of
from cord.engines.managed.keeper import VllmKeeper
from cord.recipe import Model
process.GRACE_S = 0.5
keeper = VllmKeeper(serving_of(Model(model="m"), Path(".")), print, print)
asyncio.run(keeper.up())
print("up", flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_of_a_server_outlives_its_parent(program, number):
    started = program("serve")
    parent = subprocess.Popen(
        [sys.executable, "-c", START], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    while "up" not in (line := parent.stdout.readline()):
        assert line
    pids = started.starts[0]["pids"]
    assert all(runs(pid) for pid in pids)
    parent.send_signal(number)
    parent.wait(20)
    assert are_gone(pids, within_s=30)
