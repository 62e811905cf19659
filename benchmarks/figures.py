"""How a benchmark says what it measured: a table for people, one JSON line for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure and what it is held against."""

    name: str
    value: float
    goal: float
    unit: str
    holds: bool


def at_least(name: str, value: float, goal: float, unit: str) -> Figure:
    """A figure that must not be smaller than its goal."""
    return Figure(name, round(value, 6), goal, unit, value >= goal)


def at_most(name: str, value: float, goal: float, unit: str) -> Figure:
    """A figure that must not be larger than its goal."""
    return Figure(name, round(value, 6), goal, unit, value <= goal)


def report(figures: list[Figure], as_json: bool) -> None:
    """Print each figure; with `as_json` the last line is the JSON document."""
    for figure in figures:
        mark = "holds" if figure.holds else "DOES NOT HOLD"
        print(f"{figure.name}: {figure.value:.4g} {figure.unit} (goal {figure.goal:.4g}): {mark}")
    if as_json:
        print(json.dumps({"figures": [asdict(figure) for figure in figures]}))
