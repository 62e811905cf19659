"""How a benchmark says what it measured: a table for people, one JSON line for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
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


def measure_parts(
    prog: str, about: str | None, parts: Mapping[str, Callable[[bool], list[Figure]]]
) -> None:
    """The command line of a benchmark in parts, each a function of `quick`."""
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=about)
    parser.add_argument("--quick", action="store_true", help="smaller samples; goals may be missed")
    parser.add_argument("--json", action="store_true", help="a JSON document on the last line")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    options = parser.parse_args()
    figures: list[Figure] = []
    for name in options.only:
        print(f"== {name}", flush=True)
        figures += parts[name](options.quick)
    report(figures, options.json)
