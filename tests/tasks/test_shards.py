"""The lines of a run's shards, and the page that shows them."""

from __future__ import annotations

from datetime import UTC, datetime

from tasks.board import Board
from tasks.live import as_page
from tasks.shards import SHOWN, Shards


def test_a_shard_goes_from_waiting_to_verified_and_a_failed_one_says_why() -> None:
    shards = Shards()
    shards.begin({0: 3, 1: 3, 2: 3}, missing=[1, 2])
    assert shards.totals() == {"verified": 1, "waiting": 2}
    shards.tried("decode", 1, 1, "some-task-run")
    shards.failed(1, "try 1 of 2 failed", will_retry=True)
    shards.tried("decode", 1, 2)
    shards.failed(1, "<b>the lake</b> is | away")
    shards.tried("decode", 2, 1)
    shards.ended("decode", 2)
    assert shards.totals() == {"verified": 1, "failed": 1, "decoded": 1}
    page = as_page("r", Board(), shards)
    assert "## Shards: 1 decoded, 1 failed, 1 verified" in page
    assert "| 1 | 3 | **failed** | 2 | [task run](/v2/runs/task-run/some-task-run) |" in page
    assert "<b>" not in page and r"is \| away" in page
    assert "**Retry**" in page


def test_of_very_many_shards_those_are_listed_that_need_a_look() -> None:
    shards = Shards()
    shards.begin(dict.fromkeys(range(10_000), 1), missing=range(10_000))
    shards.tried("decode", 7_000, 1)
    shards.failed(9_999, "away")
    assert [one.shard for one in shards.shown()] == [9_999, 7_000]
    page = as_page("r", Board(), shards)
    assert "9,998 waiting" in page and "9,998 more are not listed" in page
    for shard in range(5_000):
        shards.failed(shard, "away")
    assert len(shards.shown()) == SHOWN


def test_what_another_process_decoded_counts_and_its_scores_are_not_made_up() -> None:
    board = Board()
    board.begin(10)
    now = datetime.now(UTC)
    assert board.expected_end(now) is None
    board.shard_done({"decoded": 4, "quarantined": 1, "proposed_tokens": 50, "rounds": 9})
    assert (board.done, board.quarantined, board.rounds, board.tokens) == (5, 1, 9, 50)
    assert board.mean_score is None
    end = board.expected_end(now)
    assert end is not None and end >= now
