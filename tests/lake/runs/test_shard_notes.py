"""Why a shard failed is told until it is done, whatever else lies there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cord.lake import Lake
from cord.lake.runs.shard_notes import ShardNote, Stage, clear_note, leave_note, shard_notes

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def note(shard: int, stage: Stage = "decode", attempt: int = 1, minutes: int = 0) -> ShardNote:
    return ShardNote(
        shard=shard,
        stage=stage,
        attempt=attempt,
        attempts=4,
        will_retry=attempt < 4,
        at=NOON + timedelta(minutes=minutes),
        error="the server is away",
    )


def test_the_latest_note_of_a_shard_is_told_until_its_stage_is_done(lake: Lake) -> None:
    assert shard_notes(lake, "run") == {}
    leave_note(lake, "run", note(0))
    leave_note(lake, "run", note(0, attempt=2, minutes=1))
    leave_note(lake, "run", note(1, stage="verify", minutes=3))
    leave_note(lake, "run", note(1, minutes=2))
    leave_note(lake, "other", note(7))
    assert shard_notes(lake, "run") == {
        0: note(0, attempt=2, minutes=1),
        1: note(1, stage="verify", minutes=3),
    }
    clear_note(lake, "run", "verify", 1)
    clear_note(lake, "run", "decode", 0)
    clear_note(lake, "run", "decode", 0)
    assert shard_notes(lake, "run") == {1: note(1, minutes=2)}
    assert shard_notes(lake, "run", since=NOON + timedelta(minutes=3)) == {}


def test_a_note_that_cannot_be_understood_is_passed_over(folder_lake: Lake) -> None:
    leave_note(folder_lake, "run", note(0))
    folder_lake.store.write("runs/run/failures/decode-00001.json", b"{")
    assert shard_notes(folder_lake, "run") == {0: note(0)}


def test_a_note_says_which_try_failed_and_whether_there_is_another() -> None:
    assert note(0, attempt=2).sentence == (
        "try 2 of 4 failed, it is tried again: the server is away"
    )
    assert note(0, attempt=4).sentence == "failed at try 4 of 4: the server is away"
