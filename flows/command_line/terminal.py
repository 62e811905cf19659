"""What a person sees: tables, the live progress of a run, its summary.

Results go to standard output, everything else to standard error, so that output can be piped.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tasks.board import BOARD, Board

out = Console()
err = Console(stderr=True)
PLAIN_EVERY_S = 10.0


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, ensure_ascii=False, default=_plain, allow_nan=False))


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """A table; cells are shown as they are, never read as markup."""
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        numeric = all(isinstance(row[len(table.columns)], int | float) for row in rows) and rows
        table.add_column(escape(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    console = out if out.is_terminal else Console(width=max(160, out.width))
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def say(text: str, style: str = "") -> None:
    """A line for the person at the terminal, on standard error."""
    err.print(text, style=style or None, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watching(board: Board = BOARD) -> Iterator[None]:
    """Show a run's progress while the block runs: a live bar, or plain lines without a terminal."""
    over = threading.Event()
    show = _live if err.is_terminal else _plain_lines
    thread = threading.Thread(target=show, args=(board, over), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=2)


def _live(board: Board, over: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, redirect_stdout=False) as progress:
        bar = progress.add_task("starting", total=None, figures="")
        while not over.wait(0.25):
            progress.update(
                bar,
                description=board.stage or "starting",
                total=board.total or None,
                completed=board.done,
                figures=_figures(board),
            )


def _plain_lines(board: Board, over: threading.Event) -> None:
    stage, shown = "", time.monotonic()
    while not over.wait(0.25):
        if board.stage != stage:
            stage, shown = board.stage, time.monotonic()
            say(f"cord: {stage}")
        elif stage == "decoding" and time.monotonic() - shown > PLAIN_EVERY_S:
            shown = time.monotonic()
            say(f"cord: decoded {board.done} of {board.total} problems, {_figures(board)}")


def _figures(board: Board) -> str:
    parts = [f"{board.rounds} rounds", f"{board.tokens} tokens"]
    if board.mean_score is not None:
        parts.append(f"mean S {board.mean_score:.3f}")
    if board.quarantined:
        parts.append(f"{board.quarantined} quarantined")
    return ", ".join(parts)


@contextmanager
def stopping_gently(board: Board = BOARD) -> Iterator[None]:
    """First Ctrl-C (or SIGTERM): stop after the rounds in flight. Second: at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if board.stop.is_set():
            os._exit(130)
        board.stop.set()
        os.write(2, b"\ncord: stopping after the rounds in flight; press again to stop at once\n")

    kept = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def print_summary(summary: dict[str, Any]) -> None:
    """The summary of a run, for a person."""
    problems = summary["problems"]
    rows = [
        ("problems", f"{problems}"),
        ("correct", f"{summary['correct']} ({_percent(summary['correct'], problems)})"),
        ("records", f"{summary['records']}"),
        ("wrong", f"{summary['wrong']}"),
        ("quarantined", f"{summary['quarantined']}"),
        ("mean score", "-" if summary["mean_score"] is None else f"{summary['mean_score']:.3f}"),
        ("tokens", f"{summary['tokens_proposed']} proposed, {summary['tokens_kept']} kept"),
        ("seconds", "-" if summary["seconds"] is None else f"{summary['seconds']:.0f}"),
        ("release", summary["release"] or "none"),
    ]
    print_table(("run", summary["run_id"]), rows)
    if summary["shares"]:
        widest = max(share["share"] for share in summary["shares"])
        bars = [
            (
                s["teacher"],
                f"{s['share']:.1%}",
                s["median_gain"],
                "█" * round(24 * s["share"] / widest),
            )
            for s in summary["shares"]
        ]
        print_table(("teacher", "share of steps", "median gain", ""), bars)


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def is_interactive() -> bool:
    """Whether a person is at the terminal."""
    return sys.stderr.isatty()
