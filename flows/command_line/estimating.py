"""What a recipe will cost, for a person: part of `cord check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.command_line.terminal import print_table, say

if TYPE_CHECKING:
    from cord.estimate import Amount, Estimate, Work


def print_estimate(estimate: Estimate, counted: bool) -> None:
    """A table by model, then time and storage, then what was assumed. `counted`: the number of
    problems is known; otherwise all is for one problem."""
    of = f"{estimate.problems:,} problems" if counted else "one problem"
    rows = [(name, *_work(work)) for name, work in estimate.teachers.items()]
    if estimate.scorer is not None:
        rows.append(("scoring", *_work(estimate.scorer)))
    print_table((f"estimate, {of}", "requests", "tokens sampled", "tokens read", "cached"), rows)
    hours = "not known" if estimate.gpu_hours is None else _amount(estimate.gpu_hours)
    lines = [
        ("tokens sampled", _amount(estimate.sampled)),
        ("GPU-hours", hours),
        *([] if estimate.seconds is None else [("seconds, at most", f"{estimate.seconds:,.0f}")]),
        ("storage", f"{estimate.storage_bytes.value / 2**20:,.1f} MiB"),
    ]
    print_table(("from", f"the {estimate.basis}"), lines)
    for assumption in estimate.assumptions:
        say(f"assumed: {assumption}")


def _work(work: Work) -> tuple[str, str, str, str]:
    cached = "-" if work.cached is None else _amount(work.cached)
    return _amount(work.requests), _amount(work.sampled), _amount(work.read), cached


def _amount(amount: Amount) -> str:
    """`1.23M (1.10M to 1.35M)`."""
    if amount.low is None or amount.high is None:
        return _short(amount.value)
    return f"{_short(amount.value)} ({_short(amount.low)} to {_short(amount.high)})"


def _short(number: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{number:.3g}" if number < 100 else f"{number:.0f}"
