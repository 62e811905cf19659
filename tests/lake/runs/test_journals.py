"""Journals in the lake: a round that was kept is there, whatever happens to whoever kept it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cord.errors import LakeError
from cord.journal import Header
from cord.lake import Lake, open_lake
from cord.lake.runs.journals import (
    MANY_SEGMENTS,
    ShardJournal,
    adopt,
    forget_journal,
    journal_folder,
    journal_header,
    journal_progress,
)
from cord.types import Candidate, Cost, Progress, Round, Step

SEARCH = "5" * 64
KEYS = {name: name[0] * 64 for name in ("ann", "bob", "cal")}
HEADER = journal_header("run", {"t": "model on engine 1"})


def a_round(index: int, text: str = "so") -> Round:
    step = Step(f"### Step {index + 1}. {text}\n", "t", ("t",), (1, 2), "m", 2, 0.5, 0.0)
    return Round(index, (Candidate(0, step, kept=True),), costs=(("t", Cost(1, 2, 3)),))


def journal(lake: Lake, shard: int = 0, header: Header = HEADER) -> ShardJournal:
    return ShardJournal(lake, SEARCH, header, shard, KEYS)


def keep(opened: ShardJournal, problem: str, rounds: int, first: int = 0, text: str = "so") -> None:
    async def all_of_them() -> None:
        for index in range(first, rounds):
            await opened.keep(problem, 0.25, a_round(index, text))

    asyncio.run(all_of_them())


def segments(lake: Lake) -> list[str]:
    return lake.store.list(journal_folder(SEARCH))


def test_what_was_kept_is_taken_up_by_the_next_process(lake: Lake) -> None:
    with journal(lake) as first:
        assert first.so_far("ann") is None
        keep(first, "ann", 2)
        keep(first, "bob", 1)
    with journal(lake) as second:
        assert second.so_far("ann") == Progress(0.25, (a_round(0), a_round(1)))
        assert second.so_far("ann") is None, "handed out once"
        assert second.so_far("cal") is None
        keep(second, "ann", 4, first=2)
    with journal(lake) as third:
        assert third.so_far("ann") == Progress(0.25, tuple(a_round(i) for i in range(4)))
        assert third.so_far("bob") == Progress(0.25, (a_round(0),))
    assert journal_progress(lake, SEARCH, "run") == {0: (2, 5)}


def test_a_shard_sees_its_own_segments_only_and_forgets_them_when_it_is_committed(
    lake: Lake,
) -> None:
    for shard in (0, 1):
        with journal(lake, shard) as opened:
            keep(opened, "ann", 1 + shard)
    forget_journal(lake, SEARCH, "run", 0)
    assert journal_progress(lake, SEARCH, "run") == {1: (1, 2)}
    forget_journal(lake, SEARCH, "run", 0)
    assert journal(lake, 0).so_far("ann") is None


WRITES = """
import asyncio, sys
sys.path[:0] = [{tests!r}]
from lake.runs import test_journals as t
from cord.lake import open_lake
with t.journal(open_lake({uri!r})) as opened:
    async def go():
        for index in range(10_000):
            await opened.keep("ann", 0.25, t.a_round(index))
            print(index, flush=True)
    asyncio.run(go())
"""


def test_after_kill_9_every_round_that_was_said_to_be_kept_is_there(folder_lake: Lake) -> None:
    program = WRITES.format(tests=str(Path(__file__).parents[2]), uri=folder_lake.uri)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(50):
        said = process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    said = [*said.split(), *process.stdout.read().split()][-1]
    process.wait()
    progress = journal(folder_lake).so_far("ann")
    assert progress is not None
    assert int(said) + 1 <= len(progress.rounds) <= int(said) + 2, "at most one was under way"
    assert progress.rounds == tuple(a_round(i) for i in range(len(progress.rounds)))


def test_rounds_that_are_decided_together_go_with_one_write(folder_lake: Lake) -> None:
    async def all_at_once(opened: ShardJournal) -> None:
        for index in range(5):
            await asyncio.gather(*(opened.keep(name, 0.25, a_round(index)) for name in KEYS))

    with journal(folder_lake) as opened:
        asyncio.run(all_at_once(opened))
    assert 5 <= len(segments(folder_lake)) <= 10
    assert journal_progress(folder_lake, SEARCH, "run") == {0: (3, 15)}


def test_two_processes_on_one_shard_never_mix(folder_lake: Lake) -> None:
    with journal(folder_lake) as one, journal(folder_lake) as other:
        keep(one, "ann", 2, text="one")
        keep(other, "ann", 3, text="other")
        keep(one, "ann", 3, first=2, text="one")
        keep(other, "ann", 4, first=3, text="other")
    found = journal(folder_lake).so_far("ann")
    assert found == Progress(0.25, tuple(a_round(i, "other") for i in range(4)))


def test_a_damaged_entry_is_told_costs_its_problem_and_is_done_with(
    folder_lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    with journal(folder_lake) as opened:
        keep(opened, "ann", 2)
        keep(opened, "bob", 3)
    path = Path(folder_lake.store.uri(segments(folder_lake)[0]))
    path.write_bytes(path.read_bytes().replace(b'"score":0.5', b'"score":0.6'))
    with caplog.at_level(logging.INFO), journal(folder_lake) as again:
        assert again.so_far("ann") is None
        assert len((again.so_far("bob") or Progress(0, ())).rounds) == 3
        keep(again, "ann", 1)
    said = [record.getMessage() for record in caplog.records]
    assert any("damaged" in line and "1 problems start over" in line for line in said)
    caplog.clear()
    with caplog.at_level(logging.WARNING), journal(folder_lake) as last:
        assert last.so_far("ann") == Progress(0.25, (a_round(0),)), "the new try is not spoilt"
    assert not caplog.records


def test_what_another_version_of_an_engine_decided_is_refused_and_decided_again(
    folder_lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    with journal(folder_lake) as opened:
        keep(opened, "ann", 2)
    newer = journal_header("run", {"t": "model on engine 2"})
    with caplog.at_level(logging.WARNING), journal(folder_lake, header=newer) as opened:
        assert opened.so_far("ann") is None
    assert "t was model on engine 1, is model on engine 2" in caplog.text


def test_another_run_of_the_same_search_adopts_what_was_decided(lake: Lake) -> None:
    with journal(lake) as opened:
        keep(opened, "ann", 2)
        keep(opened, "bob", 1)
    later = journal_header("later", {"t": "model on engine 1"})
    assert adopt(lake, SEARCH, later, {KEYS["ann"]: 3, KEYS["cal"]: 3}) == 2
    assert adopt(lake, "6" * 64, later, {KEYS["ann"]: 3}) == 0, "another search has another journal"
    with journal(lake, 3, later) as opened:
        assert opened.so_far("ann") == Progress(0.25, (a_round(0), a_round(1)))
        assert opened.so_far("bob") is None
        keep(opened, "ann", 3, first=2)
    assert journal(lake, 3, later).so_far("ann") == Progress(0.25, tuple(map(a_round, range(3))))
    assert journal_progress(lake, SEARCH, "run") == {0: (2, 3)}, "the other run's stays"


def test_many_segments_become_one_when_a_shard_is_taken_up(folder_lake: Lake) -> None:
    with journal(folder_lake) as opened:
        keep(opened, "ann", MANY_SEGMENTS + 1)
    assert len(segments(folder_lake)) == MANY_SEGMENTS + 1
    with journal(folder_lake) as opened:
        assert len(segments(folder_lake)) == 1
        keep(opened, "ann", MANY_SEGMENTS + 2, first=MANY_SEGMENTS + 1)
    assert journal_progress(folder_lake, SEARCH, "run") == {0: (1, MANY_SEGMENTS + 2)}


def test_who_waits_for_a_round_hears_that_it_cannot_be_kept(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path / "lake"), create=True)
    (tmp_path / "lake" / "journals").write_text("in the way")
    with journal(lake) as opened:
        with pytest.raises(LakeError, match="journals"):
            keep(opened, "ann", 1)
        (tmp_path / "lake" / "journals").unlink()
        keep(opened, "bob", 1)
    assert journal_progress(lake, SEARCH, "run") == {0: (1, 1)}


async def test_a_search_that_is_broken_off_while_it_waits_harms_nobody(folder_lake: Lake) -> None:
    with journal(folder_lake) as opened:
        waits = [asyncio.ensure_future(opened.keep(name, 0.25, a_round(0))) for name in KEYS]
        await asyncio.sleep(0)
        waits[0].cancel()
        done = await asyncio.gather(*waits, return_exceptions=True)
        assert done[1:] == [None, None]
        await opened.keep("bob", 0.25, a_round(1))
