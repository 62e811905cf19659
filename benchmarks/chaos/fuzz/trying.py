"""A property, and how often it is tried."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True)
class Property:
    """What must hold for every input: `holds` returns how many rows it saw lost, and raises
    AssertionError, or whatever the code under test raised, where it does not hold."""

    reader: str
    """What is tried, as figures name it."""
    claim: str
    inputs: SearchStrategy[Any]
    holds: Callable[[Any], None]
    share: float = 1.0
    """Of the cases that a quick or a whole pass tries: less where one case is slow."""


@dataclass
class Tried:
    """What came of trying a property."""

    property: Property
    cases: int = 0
    """Inputs that it was really tried on; those of shrinking a failure are not counted."""
    seconds: float = 0.0
    failure: str = ""
    """The smallest input that breaks it, with where; empty where it held."""
    notes: list[str] = field(default_factory=list)


def try_out(property: Property, cases: int, derandomize: bool = False) -> Tried:
    """Try a property on `cases` inputs; a failure is shrunk and handed back, not raised."""
    tried = Tried(property)

    def counted(value: Any) -> None:
        tried.cases += not tried.failure
        try:
            property.holds(value)
        except BaseException:
            tried.failure = "found"
            raise

    fuzz = given(property.inputs)(counted)
    fuzz = settings(
        max_examples=cases,
        database=None,
        deadline=None,
        derandomize=derandomize,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )(fuzz)
    begun = time.perf_counter()
    try:
        fuzz()
    except Exception as error:
        notes = "\n".join(getattr(error, "__notes__", ()))
        trace = "".join(traceback.format_exception(error, limit=-6))
        tried.failure = f"{trace[-3000:]}\n{notes[:3000]}"
    tried.seconds = time.perf_counter() - begun
    return tried
