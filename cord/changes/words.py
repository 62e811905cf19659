"""A refresh's plan in words: sentences for the terminal and a log, a page for the dashboard."""

from __future__ import annotations

from collections.abc import Iterator

from cord.changes.differences import Cost, Difference
from cord.changes.refresh_plan import RefreshPlan

SHOWN = 5
"""Ids of each kind."""
_MEANS: dict[Cost, str] = {
    "search": "decoded again",
    "verdicts": "judged again, nothing decoded for it",
    "release": "the release is put together again, nothing decoded for it",
    "source": "other problems are read",
    "nothing": "no row of it is another",
}
_BASIS = {
    "lake": "as the last release's problems took",
    "scaled": "as the last release's problems took, by the ratio of what both searches ask for",
    "paper": "by assumed lengths; `cord check` says which",
}


def headline(plan: RefreshPlan) -> str:
    """`against demo@3: 2 new, 0 changed, 61 unchanged, 1 withdrawn; 2 to decode, ...`."""
    if plan.base is None:
        return (
            f"no release of {plan.name} yet: {len(plan.changes.new):,} problems, "
            f"{plan.to_decode:,} to decode, some {plan.tokens:,.0f} tokens"
        )
    return (
        f"against {plan.base.release}: {told_changes(plan)}; {plan.to_decode:,} to decode, "
        f"some {plan.tokens:,.0f} tokens"
    )


def told_changes(plan: RefreshPlan) -> str:
    """`2 new, 1 changed, 61 unchanged, 1 withdrawn`."""
    return ", ".join(f"{len(ids):,} {kind}" for kind, ids in kinds(plan))


def kinds(plan: RefreshPlan) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(kind, ids of its problems)."""
    changes = plan.changes
    yield "new", changes.new
    yield "changed", changes.changed
    yield "unchanged", changes.unchanged
    yield "withdrawn", changes.withdrawn


def invalidated(plan: RefreshPlan) -> list[str]:
    """What the changed recipe invalidates, a sentence for each kind of cost."""
    if plan.base is None:
        return []
    return [_sentence(plan, cost, found) for cost in _MEANS if (found := plan.costing(cost))]


def _sentence(plan: RefreshPlan, cost: Cost, found: tuple[Difference, ...]) -> str:
    fields = "; ".join(map(str, found[:SHOWN]))
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"{fields}{more}: {_rows(plan, cost)}"


def _rows(plan: RefreshPlan, cost: Cost) -> str:
    assert plan.base is not None
    rows, release = plan.invalid, plan.base.release
    match cost:
        case "search":
            return (
                f"{rows['trajectories']:,} trajectories and {rows['records']:,} records of "
                f"{release} are of another search; {_MEANS[cost]}, but for what the lake has of it"
            )
        case "verdicts":
            return f"{rows['verdicts']:,} verdicts of {release} are {_MEANS[cost]}"
        case _:
            return _MEANS[cost]


def basis(plan: RefreshPlan) -> str:
    """Where the expected tokens come from."""
    return _BASIS[plan.basis]


def page(plan: RefreshPlan) -> str:
    """The plan in Markdown. Ids and values are data: shown as code, never as markup."""
    lines = [f"# {headline(plan)}", ""]
    if plan.set_aside:
        lines += [f"{plan.set_aside:,} rows are set aside in reading.", ""]
    if plan.base is not None:
        lines += ["| problems | | for example |", "|---|---|---|"]
        lines += [f"| {kind} | {len(ids):,} | {_some(ids)} |" for kind, ids in kinds(plan)]
    if plan.differences:
        lines += ["", "| the recipe | was | is | so that |", "|---|---|---|---|"]
        lines += [
            f"| {_code(d.field)} | {_code(d.before)} | {_code(d.after)} | {_rows(plan, d.cost)} |"
            for d in plan.differences
        ]
    lines += ["", f"Tokens: {basis(plan)}."]
    return "\n".join(lines) + "\n"


def _some(ids: tuple[str, ...]) -> str:
    return ", ".join(_code(one[:80]) for one in ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")


def _code(text: str) -> str:
    """Data inside a cell: neither markup nor the end of the cell."""
    plain = "".join(c if c.isprintable() else " " for c in text).replace("`", "'")
    return "`" + plain.replace("|", "¦") + "`" if plain.strip() else "-"
