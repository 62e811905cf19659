"""What a person sees: tables, the live progress of a run, its summary.

Results go to standard output, everything else to standard error, so that output can be piped.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from types import FrameType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tasks.board import BOARD, Board

out = Console()
err = Console(stderr=True)
PLAIN_EVERY_S = 10.0


# What could steer a terminal, or make a line read otherwise than it is: C0 and C1 controls but for
# tab and line feed, line separators, and the marks that turn the direction of text around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """The text with its control characters written out (`\\x1b`): data steers no terminal."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    print(json_text(value))


def json_text(value: object) -> str:
    """Valid JSON of one line in what standard output can write; control characters are escaped."""
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(plain_value(value), ensure_ascii=not is_unicode, allow_nan=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def plain_value(value: object) -> object:
    """A value in JSON's types: NaN and infinities are null, dates ISO 8601, decimals numbers."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():  # also what DuckDB's sum of integers is
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {str(key): plain_value(inner) for key, inner in value.items()}
        case list() | tuple() if not hasattr(value, "_fields"):
            return [plain_value(inner) for inner in value]
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case date() | time_of_day():
            return value.isoformat()
        case _:
            return str(value)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """A table; cells are shown as they are, never read as markup."""
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        cells = [row[len(table.columns)] for row in rows]
        numeric = rows and all(isinstance(cell, int | float | None) for cell in cells)
        table.add_column(
            escape(visible(column)), justify="right" if numeric else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    console = out if out.is_terminal else Console(width=max(160, out.width))
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return visible(str(value))


def say(text: str, style: str = "") -> None:
    """A line for the person at the terminal, on standard error."""
    err.print(visible(text), style=style or None, markup=False, highlight=False, soft_wrap=True)


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
                description=": ".join(
                    filter(None, (board.heading, board.stage or "starting", board.detail))
                ),
                total=board.total or None,
                completed=board.done,
                figures=_figures(board, brief=err.width < 90),
            )


def _plain_lines(board: Board, over: threading.Event) -> None:
    stage, heading, shown = "", "", time.monotonic()
    while not over.wait(0.25):
        if board.heading != heading:  # of a grid's cells only their beginnings are told
            heading, shown = board.heading, time.monotonic()
            if heading:
                say(f"cord: {heading}")
        elif board.stage != stage and not heading:
            stage, shown = board.stage, time.monotonic()
            say(f"cord: {stage}")
        elif board.stage == "decoding" and time.monotonic() - shown > PLAIN_EVERY_S:
            shown = time.monotonic()
            say(f"cord: decoded {board.done} of {board.total} problems, {_figures(board)}")
        elif board.work != "problems" and time.monotonic() - shown > PLAIN_EVERY_S:
            shown = time.monotonic()
            done = f"{board.done} of {board.total} {board.work}"
            told = ", ".join(filter(None, (done, board.detail, _figures(board))))
            say(f"cord: {board.stage}: {told}")
        elif board.detail and time.monotonic() - shown > PLAIN_EVERY_S:
            shown = time.monotonic()
            say(f"cord: {board.stage}: {board.detail}")


def _figures(board: Board, brief: bool = False) -> str:
    if board.work != "problems":
        speed = board.tokens_per_second
        return f"{board.tokens} tokens, {speed:.0f} tokens/s" if board.tokens else ""
    parts = [] if brief else [f"{board.rounds} rounds", f"{board.tokens} tokens"]
    if board.done < board.total and (speed := board.tokens_per_second):
        parts.append(f"{speed:.0f} tok/s" if brief else f"{speed:.0f} tokens/s")
    if board.mean_score is not None:
        parts.append(f"mean S {board.mean_score:.3f}")
    if board.quarantined:
        parts.append(f"{board.quarantined} quarantined")
    return ", ".join(parts)


@contextmanager
def stopping_gently(
    board: Board = BOARD,
    after: str = "the rounds in flight",
    then: str = "`cord runs` names the run, `cord resume` goes on",
) -> Iterator[None]:
    """First Ctrl-C (or SIGTERM): stop after what is in flight. Second: at once."""

    asked: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if asked:
            os.write(2, f"cord: stopped at once; {then}\n".encode())
            os._exit(130)
        asked.append(number)
        board.stop.set()
        os.write(2, f"\ncord: stopping after {after}; press again to stop at once\n".encode())

    kept = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def is_interactive() -> bool:
    """Whether a person is at the terminal."""
    return sys.stderr.isatty()
