"""A run's plan for a person: what it would change, before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.command_line.terminal import print_table, say

if TYPE_CHECKING:
    from cord.changes.refresh_plan import RefreshPlan

SHOWN = 5
"""Ids of each kind; `--json` gives all."""


def print_plan(plan: RefreshPlan) -> None:
    """The plan as a table on standard output, what the recipe invalidates below it."""
    from cord.changes.words import basis, headline, kinds

    rows: list[tuple[str, int, str]] = [
        (kind, len(ids), _some(ids)) for kind, ids in kinds(plan) if plan.base or ids
    ]
    rows.append(("set aside in reading", plan.set_aside, ""))
    rows.append(("to decode", plan.to_decode, f"some {plan.tokens:,.0f} tokens, {basis(plan)}"))
    against = "no release yet" if plan.base is None else f"against {plan.base.release}"
    print_table(("problems", against, "for example"), rows)
    say_invalidated(plan)
    if plan.same_run:
        say(f"cord: nothing new: {headline(plan)}")


def say_plan(plan: RefreshPlan) -> None:
    """A line or two at the start of a run that follows a release."""
    from cord.changes.words import headline

    if plan.base is not None:
        say(f"cord: {headline(plan)}")
        say_invalidated(plan)


def say_invalidated(plan: RefreshPlan) -> None:
    """What the changed recipe costs, a line for each kind of cost."""
    from cord.changes.words import invalidated

    for sentence in invalidated(plan):
        say(f"cord: the recipe has changed: {sentence}")


def _some(ids: tuple[str, ...]) -> str:
    return ", ".join(one[:40] for one in ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
