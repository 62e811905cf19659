"""Hostile input for whatever reads what others wrote: 10,000 cases and more for each reader.

Properties are hypothesis' own; each is tried on inputs that are nearly right and on plain bytes,
with real problems among them where the shared data is there. What fails is shrunk and printed.
"""

from __future__ import annotations

import logging

from benchmarks.chaos.fuzz import answers, exchanges, journals, problems, recipes, segments
from benchmarks.chaos.fuzz.trying import Property, Tried, try_out
from benchmarks.figures import Figure, at_least, at_most

PROPERTIES: tuple[Property, ...] = (
    *problems.PROPERTIES,
    *recipes.PROPERTIES,
    *journals.PROPERTIES,
    *segments.PROPERTIES,
    *answers.PROPERTIES,
    *exchanges.PROPERTIES,
)
CASES, QUICK_CASES = 10_000, 300


def measure(quick: bool) -> list[Figure]:
    """Try every property; the figures are cases run, what broke, and rows lost."""
    logging.disable(logging.ERROR)  # what libraries say of hostile input
    cases = QUICK_CASES if quick else CASES
    try:
        tried = [_try(property, cases) for property in PROPERTIES]
    finally:
        logging.disable(logging.NOTSET)
    figures = [
        at_least(
            f"fuzz: {one.property.reader}", one.cases, int(cases * one.property.share), "cases"
        )
        for one in tried
    ]
    broken = sum(bool(one.failure) for one in tried)
    lost = sum(one.lost for one in tried)
    return [
        *figures,
        at_most("fuzz: tracebacks and broken promises", broken, 0, "properties"),
        at_most("fuzz: rows lost", lost, 0, "rows"),
    ]


def _try(property: Property, cases: int) -> Tried:
    tried = try_out(property, int(cases * property.share))
    print(
        f"{property.reader}: {property.claim}: {tried.cases} cases in {tried.seconds:.0f} s"
        + (f"\n{tried.failure}" if tried.failure else ""),
        flush=True,
    )
    return tried
