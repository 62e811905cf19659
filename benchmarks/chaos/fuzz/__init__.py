"""Hostile input for whatever reads what others wrote: 10,000 cases and more for each reader.

Properties are hypothesis' own; each is tried on inputs that are nearly right and on plain bytes,
with real problems among them where the shared data is there. What fails is shrunk and printed.
"""

from __future__ import annotations

import logging
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context

from benchmarks.chaos.fuzz import (
    answers,
    documents,
    exchanges,
    journals,
    problems,
    recipes,
    segments,
)
from benchmarks.chaos.fuzz.trying import Property, Tried, try_out
from benchmarks.figures import Figure, at_least, at_most

PROPERTIES: tuple[Property, ...] = (
    *problems.PROPERTIES,
    *recipes.PROPERTIES,
    *journals.PROPERTIES,
    *documents.PROPERTIES,
    *segments.PROPERTIES,
    *answers.PROPERTIES,
    *exchanges.PROPERTIES,
)
CASES, QUICK_CASES = 10_000, 300
PROCESSES = 2


def measure(quick: bool) -> list[Figure]:
    """Try every property; the figures are cases run, what broke, and rows lost."""
    cases = QUICK_CASES if quick else CASES
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        tried = list(pool.map(_try, range(len(PROPERTIES)), repeat(cases)))
    figures = [
        at_least(f"fuzz: {property.reader}", one.cases, int(cases * property.share), "cases")
        for property, one in zip(PROPERTIES, tried, strict=True)
    ]
    broken = sum(bool(one.failure) for one in tried)
    lost = sum(one.lost for one in tried)
    return [
        *figures,
        at_most("fuzz: tracebacks and broken promises", broken, 0, "properties"),
        at_most("fuzz: rows lost", lost, 0, "rows"),
    ]


def _try(place: int, cases: int) -> Tried:
    logging.disable(logging.ERROR)  # what libraries say of hostile input
    property = PROPERTIES[place]
    tried = try_out(property, int(cases * property.share))
    print(
        f"{property.reader}: {property.claim}: {tried.cases} cases in {tried.seconds:.0f} s"
        + (f"\n{tried.failure}" if tried.failure else ""),
        flush=True,
    )
    return tried
