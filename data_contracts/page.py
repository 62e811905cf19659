"""Contracts' results as one web page, to be stored with the run and opened years later.

Great Expectations' own pages load style sheets and scripts from two other hosts; this one is whole
in itself and runs no script. Everything that came from data is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from data_contracts.result import Check, ContractResult

BAR_WIDTH, PICTURE_HEIGHT = 10, 60


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram, in the picture's own units; `y` counts from the top."""

    x: int
    y: float
    height: float


def render(result: ContractResult, *further: ContractResult, profile: Any = None) -> str:
    """HTML, complete and self-contained; a section for each result, what failed first in it.

    `profile` (`cord.signals.profile`) adds the distributions of the records."""
    environment = Environment(
        loader=PackageLoader("data_contracts", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters.update(urgent=_urgent, bars=_bars)
    return environment.get_template("page.html.j2").render(
        results=(result, *further),
        profile=profile or {"numbers": {}, "shares": {}, "flags": {}},
        width=BAR_WIDTH,
        height=PICTURE_HEIGHT,
    )


def _urgent(checks: Sequence[Check]) -> list[Check]:
    """Failures, then warnings, then what held; each in the contract's order."""
    return sorted(checks, key=lambda c: 2 if c.holds else 0 if c.severity == "stop" else 1)


def _bars(shares: Sequence[float]) -> list[Bar]:
    """The largest share fills the picture."""
    largest = max(shares, default=0) or 1
    heights = [round(PICTURE_HEIGHT * share / largest, 1) for share in shares]
    return [
        Bar(place * BAR_WIDTH, round(PICTURE_HEIGHT - height, 1), height)
        for place, height in enumerate(heights)
    ]
