"""Servers start: once for all who wait, and one after the other on one GPU."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from engines.managed.a_server import QWQ, Told, serving, until

from cord.engines.managed import starts
from cord.engines.managed.keeper import servers_starting
from cord.engines.managed.process import ReservedPort
from cord.errors import EngineError, EngineRefused


def test_many_loops_and_threads_wait_for_one_start(program):
    started = program("serve")
    told = Told(serving())

    async def wait() -> None:
        await asyncio.gather(*(told.keeper.up() for _ in range(5)))

    threads = [threading.Thread(target=lambda: asyncio.run(wait())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (start,) = started.starts
    port = start["arguments"][start["arguments"].index("--port") + 1]
    assert told.urls == [f"http://127.0.0.1:{port}/v1"]


async def test_who_waits_may_be_cancelled_and_the_start_goes_on(program):
    program("serve")
    told = Told(serving())
    waiting = asyncio.ensure_future(told.keeper.up())
    await asyncio.sleep(0.05)
    waiting.cancel()
    await told.keeper.up()


async def test_a_start_can_be_watched(program):
    program("hang")
    told = Told(serving(gpus=[0, 1], tensor_parallel=2))
    waiting = asyncio.ensure_future(told.keeper.up())
    await until(lambda: "weights" in "".join(one.phase for one in servers_starting()))
    (starting,) = servers_starting()
    assert starting.title == f"{QWQ} (GPUs 0, 1)"
    assert starting.phase == "loading weights, 3/14 files" and starting.seconds > 0
    await asyncio.to_thread(told.keeper.stop)
    with pytest.raises(EngineError, match="was stopped as it started"):
        await waiting
    assert servers_starting() == []


def log_named_in(sentence: str) -> str:
    return Path(sentence.partition("its log: ")[2].rstrip(")")).read_text()


async def test_a_start_that_fails_says_why_once_for_all(program):
    started = program("fail")
    told = Told(serving())
    for _ in range(2):
        with pytest.raises(EngineRefused) as failed:
            await told.keeper.up()
        assert str(failed.value).startswith(
            f"vLLM for {QWQ} did not start: ValueError: No available memory for the cache blocks."
        )
    assert "See root cause above" in log_named_in(str(failed.value))
    assert len(started.starts) == 1


async def test_a_start_that_takes_too_long_is_a_failed_one(program):
    program("hang")
    with pytest.raises(EngineRefused, match=r"not up after 0.5 s \(serve.start_within_s\)"):
        await Told(serving(start_within_s=0.5)).keeper.up()


async def test_a_port_that_is_taken_is_survived(program):
    started = program("taken", "taken", "serve")
    await Told(serving()).keeper.up()
    ports = [start["arguments"][start["arguments"].index("--port") + 1] for start in started.starts]
    assert len(set(ports)) == 3


def test_a_reserved_port_is_given_to_nobody_who_asks_for_any():
    reserved = [ReservedPort() for _ in range(50)]
    assert len({port.number for port in reserved}) == 50
    for port in reserved:
        port.close()


async def test_servers_on_one_gpu_start_one_after_the_other(program, monkeypatch):
    started = program("serve")
    healthy: list[float] = []
    told = [Told(serving(gpus=[0])), Told(serving(gpus=[0, 1])), Told(serving(gpus=[2]))]
    seen = starts.VllmProcess.is_healthy

    def is_healthy(process, client):
        answer = seen(process, client)
        if answer:
            healthy.append(time.monotonic())
        return answer

    monkeypatch.setattr(starts.VllmProcess, "is_healthy", is_healthy)
    await asyncio.gather(*(one.keeper.up() for one in told))
    begun = {start["environment"]["CUDA_VISIBLE_DEVICES"]: start["at"] for start in started.starts}
    first, second = sorted((begun["0"], begun["0,1"]))
    assert any(first < moment < second for moment in healthy)
