"""The page of a run that goes on, `RUN-live`: figures and shards, updated in place."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from cord.card.escaping import plain, table
from cord.lake.tables.rows import REUSED
from tasks import artifacts
from tasks.board import Board
from tasks.shards import SHOWN, ShardAtWork, Shards

EVERY_S = 5.0
"""How often the page changes at most."""


class Live:
    """What a person looks at while a run goes on; its progress artifact says the same in a line."""

    def __init__(self, run_id: str, board: Board, shards: Shards) -> None:
        self._run_id, self._board, self._shards = run_id, board, shards
        self._progress = artifacts.Progress(run_id)
        self._page = artifacts.LivePage(run_id, "live", f"{run_id} as it goes on")
        self._shown = float("-inf")

    def show(self, share: float, is_last: bool = False) -> None:
        """Bring it up to date, where the last time was some seconds ago; `share` is from 0 to 1."""
        if not is_last and time.monotonic() - self._shown < EVERY_S:
            return
        self._progress.show(share, in_a_line(self._board))
        self._page.show(as_page(self._run_id, self._board, self._shards))
        self._shown = time.monotonic()


def in_a_line(board: Board) -> str:
    """`12 of 64 problems decoded, 341 rounds, 1,204 tokens a second, 0 quarantined, ...`."""
    said = [f"{name} {value}" for name, value in _figures(board)]
    return f"{board.done:,} of {board.total:,} problems decoded; {', '.join(said)}"


def as_page(run_id: str, board: Board, shards: Shards) -> str:
    """The page, in Markdown; what a model or a user wrote in it is escaped."""
    figures = [("problems decoded", f"{board.done:,} of {board.total:,}"), *_figures(board)]
    totals = shards.totals()
    said = ", ".join(f"{count:,} {state}" for state, count in sorted(totals.items()))
    rows = shards.shown()
    lines = [
        f"# {run_id}: {board.stage or 'beginning'}",
        table(tuple(name for name, _ in figures), [tuple(value for _, value in figures)]),
        f"## Shards: {said or 'none'}",
    ]
    if rows:
        head = ("shard", "problems", "state", "try", "on the dashboard", "why")
        lines.append(table(head, [_row(one) for one in rows]))
    if (hidden := sum(totals.values()) - len(rows)) > 0:
        lines.append(
            f"{hidden:,} more are not listed: of more than {SHOWN}, those that failed or are at "
            f"work are. `cord status {run_id}` lists them all."
        )
    if "failed" in totals:
        lines.append(
            "**Retry** of this run does what is missing: only shards that are not verified get a "
            "task run."
        )
    lines.append(f"As of {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC.")
    return "\n\n".join(lines) + "\n"


def _figures(board: Board) -> list[tuple[str, str]]:
    end = board.expected_end(datetime.now(UTC))
    score = board.mean_score
    return [
        ("rounds", f"{board.rounds:,}"),
        ("tokens a second", f"{board.tokens_per_second:,.0f}"),
        ("quarantined", f"{board.quarantined:,}"),
        ("mean S", "-" if score is None else f"{score:.3f}"),
        ("expected end", "-" if end is None else f"{end:%Y-%m-%d %H:%M} UTC"),
    ]


def _row(one: ShardAtWork) -> tuple[str, ...]:
    name = "in the lake" if one.shard == REUSED else str(one.shard)
    state = f"**{one.state}**" if one.state == "failed" else one.state
    # Without a host: the browser may know the server by another name than this process does.
    link = f"[task run](/v2/runs/task-run/{one.task_run})" if one.task_run else ""
    return name, f"{one.problems:,}", state, str(one.tries or ""), link, plain(one.why, 160)
