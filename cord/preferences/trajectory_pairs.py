"""Pairs of whole trajectories: a record, and finished ones of the same problem that are worse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from cord.types import Outcome


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished trajectory that was judged."""

    text: str
    """Everything behind `<think>\\n`."""
    score: float
    outcome: Outcome
    teachers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrajectoryPair:
    """Two answers to one question, thinking included."""

    chosen: Finished
    rejected: Finished
    gap: float
    """log S of the chosen one less log S of the rejected one; of a wrong one it may be negative."""
    because: Literal["wrong", "scored lower"]


def trajectory_pairs(
    chosen: Finished, others: Iterable[Finished], min_gap: float, most: int
) -> Iterator[TrajectoryPair]:
    """At most `most` pairs of a record. Wrong trajectories first, the most plausible one (by S)
    first of all; then right ones that scored lower by `min_gap`, the widest gap first. What could
    not be judged is left out, and so is the same text."""
    different = {o.text: o for o in others if o.text != chosen.text}.values()
    wrong = [o for o in different if o.outcome == "wrong"]
    lower = [
        o
        for o in different
        if o.outcome == "correct" and o.score < chosen.score and _gap(chosen, o) >= min_gap
    ]
    wrong.sort(key=lambda o: (-o.score, o.text))
    lower.sort(key=lambda o: (o.score, o.text))
    pairs = [
        *(TrajectoryPair(chosen, o, _gap(chosen, o), "wrong") for o in wrong),
        *(TrajectoryPair(chosen, o, _gap(chosen, o), "scored lower") for o in lower),
    ]
    yield from pairs[:most]


def _gap(chosen: Finished, other: Finished) -> float:
    return math.log(chosen.score) - math.log(other.score)
