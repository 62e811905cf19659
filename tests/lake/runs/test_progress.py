"""How far each shard of a run is, from its tables, its journal and its notes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from cord.lake import Lake
from cord.lake.runs.journals import ShardJournal, journal_header
from cord.lake.runs.progress import ShardProgress, decode_app, run_progress, verify_app
from cord.lake.runs.run import RunDocument
from cord.lake.runs.shard_notes import ShardNote, leave_note
from cord.types import Candidate, Cost, Round, Step

Rows = Callable[..., pa.Table]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RUN = RunDocument(
    run_id="run",
    recipe="demo",
    fingerprint="f",
    search="5" * 64,
    created_at=NOON,
    started_at=NOON + timedelta(minutes=10),
)


@pytest.fixture
def planned(folder_lake: Lake, make_rows: Rows) -> Lake:
    """Six shards of two problems each, and one that was in the lake already."""
    plan = [
        make_rows("problems", [f"p{shard}-{i}" for i in range(2)], shard=shard)
        for shard in range(-1, 6)
    ]
    folder_lake.tables.append_once("problems", pa.concat_tables(plan), "run/plan")
    return folder_lake


def commit(lake: Lake, make_rows: Rows, shard: int, verified: bool = True) -> None:
    """The shard is decoded, and verified."""
    rows = make_rows("trajectories", [f"p{shard}-0", f"p{shard}-1"])
    lake.tables.append_once("trajectories", rows, decode_app("run", shard))
    if verified:
        lake.tables.append_once("verdicts", make_rows("verdicts", []), verify_app("run", shard))


def decide(lake: Lake, shard: int, rounds: int) -> None:
    """So many rounds of the shard's first problem."""
    keys = {f"p{shard}-0": "0" * 64, f"p{shard}-1": "1" * 64}

    async def keep(journal: ShardJournal) -> None:
        for index in range(rounds):
            step = Step(f"### Step {index + 1}. so\n", "t", ("t",), (1, 2), "m", 2, 0.5, 0.0)
            decided = Round(index, (Candidate(0, step, kept=True),), costs=(("t", Cost(1, 2, 3)),))
            await journal.keep(f"p{shard}-0", 0.5, decided)

    with ShardJournal(lake, RUN.search, journal_header("run", {}), shard, keys) as journal:
        asyncio.run(keep(journal))


def fail(lake: Lake, shard: int, minutes: int, will_retry: bool) -> None:
    attempt = 1 if will_retry else 4
    note = ShardNote(
        shard=shard,
        stage="decode",
        attempt=attempt,
        attempts=4,
        will_retry=will_retry,
        at=NOON + timedelta(minutes=minutes),
        error="the server is away",
    )
    leave_note(lake, "run", note)


def by_shard(shards: list[ShardProgress]) -> dict[int, ShardProgress]:
    return {shard.shard.index: shard for shard in shards}


def test_before_its_problems_are_planned_a_run_has_no_shards(folder_lake: Lake) -> None:
    assert run_progress(folder_lake, RUN, is_at_work=True) == []
    early = RUN.model_copy(update={"search": ""})
    assert run_progress(folder_lake, early, is_at_work=True) == []


def test_every_shard_is_done_in_progress_waiting_or_failed(planned: Lake, make_rows: Rows) -> None:
    commit(planned, make_rows, -1)
    commit(planned, make_rows, 0)
    commit(planned, make_rows, 1, verified=False)
    decide(planned, 2, rounds=3)
    fail(planned, 4, minutes=11, will_retry=False)
    fail(planned, 5, minutes=11, will_retry=True)
    for is_at_work in (True, False):
        shards = by_shard(run_progress(planned, RUN, is_at_work))
        assert {index: shard.state for index, shard in shards.items()} == {
            -1: "done",
            0: "done",
            1: "in progress",
            2: "in progress",
            3: "waiting",
            4: "failed",
            5: "in progress",
        }
        assert (shards[2].begun, shards[2].rounds) == (1, 3)
        assert shards[4].failure is not None
        assert shards[4].failure.error == "the server is away"


def test_what_failed_before_the_run_was_resumed_is_not_held_against_it(planned: Lake) -> None:
    fail(planned, 4, minutes=9, will_retry=False)
    assert by_shard(run_progress(planned, RUN, is_at_work=True))[4].state == "waiting"
    assert by_shard(run_progress(planned, RUN, is_at_work=False))[4].state == "failed"
