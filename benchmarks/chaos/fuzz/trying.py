"""A property, and how often it is tried."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy


class RowsLost(AssertionError):
    """What was read does not account for all that was written."""

    def __init__(self, count: int, what: str) -> None:
        super().__init__(f"{count} lost: {what}")
        self.count = count


@dataclass(frozen=True)
class Property:
    """What must hold for every input: `holds` raises `RowsLost`, or any other exception, where it
    does not."""

    reader: str
    """What is tried, as figures name it."""
    claim: str
    inputs: SearchStrategy[Any]
    holds: Callable[[Any], None]
    share: float = 1.0
    """Of the cases of a pass: less where one case is slow, and the same code is tried elsewhere."""


@dataclass
class Tried:
    """What came of trying a property."""

    cases: int = 0
    """Inputs that it was really tried on; those of shrinking a failure are not counted."""
    seconds: float = 0.0
    failure: str = ""
    """The smallest input that breaks it, with where; empty where it held."""
    lost: int = 0
    """Rows, in the first input that lost any."""


def try_out(property: Property, cases: int, derandomize: bool = False) -> Tried:
    """Try a property on `cases` inputs; a failure is shrunk and handed back, not raised."""
    tried = Tried()

    def counted(value: Any) -> None:
        tried.cases += not tried.failure
        try:
            property.holds(value)
        except BaseException as error:
            tried.failure = "found"
            if isinstance(error, RowsLost):
                tried.lost = tried.lost or error.count
            raise

    fuzz = settings(
        max_examples=cases,
        database=None,
        deadline=None,
        derandomize=derandomize,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )(given(property.inputs)(counted))
    begun = time.perf_counter()
    try:
        fuzz()
    except Exception as error:
        trace = "".join(traceback.format_exception(error, limit=-6))
        notes = "\n".join(getattr(error, "__notes__", ()))
        tried.failure = f"{trace[-3000:]}\n{notes[:3000]}"
    tried.seconds = time.perf_counter() - begun
    return tried
