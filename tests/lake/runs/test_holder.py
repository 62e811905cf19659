"""A dead process is known for dead; another one is never taken for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from cord.lake.runs.holder import Holder, is_provably_dead, this_process

PROGRAM = """
import sys
from cord.lake.runs.holder import this_process
print(this_process().model_dump_json(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """Another process, which prints who it is and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def who(process: subprocess.Popen[str]) -> Holder:
    assert process.stdout is not None
    return Holder.model_validate_json(process.stdout.readline())


def test_a_killed_process_is_dead_at_once_even_before_it_is_buried(
    other: subprocess.Popen[str],
) -> None:
    holder = who(other)
    assert holder.pid == other.pid
    assert not is_provably_dead(holder)
    other.kill()
    deadline = time.monotonic() + 10
    while not is_provably_dead(holder) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_provably_dead(holder), "it is a zombie: nobody has waited for it"
    other.wait()
    assert is_provably_dead(holder)


def test_this_process_is_alive() -> None:
    me = this_process()
    assert me.pid == os.getpid()
    assert not is_provably_dead(me)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")
def test_a_process_id_that_was_given_out_again_is_not_taken_for_the_holder() -> None:
    me = this_process()
    assert me.began is not None
    assert is_provably_dead(me.model_copy(update={"began": me.began - 1}))


@pytest.mark.parametrize("told", ["host", "boot", "pid_namespace"])
def test_of_a_process_elsewhere_nothing_is_known(told: str, other: subprocess.Popen[str]) -> None:
    dead = who(other)
    other.kill()
    other.wait()
    assert is_provably_dead(dead)
    assert not is_provably_dead(dead.model_copy(update={told: "another"}))


def test_where_nothing_but_the_id_is_told_a_living_one_is_not_dead() -> None:
    assert not is_provably_dead(this_process().model_copy(update={"began": None}))
