"""Whose tree is shown whole, when not all of them fit into the page."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence

from cord.report.lines import Line


def by_interest(lines: Sequence[Line], named: Collection[str], seed: str) -> list[int]:
    """Places of all lines, the most interesting first.

    Named ones lead. Behind them, in turn: one that went wrong, the lowest scored, the highest
    scored, and one drawn by lot (`seed` decides), so that every kind is there however few fit."""
    places = [place for place, line in enumerate(lines) if line.key is not None]
    drawn = random.Random(seed)  # noqa: S311 - a sample, not a secret
    lot = drawn.sample(places, len(places))
    troubled = [place for place in lot if lines[place].is_troubled]
    scored = sorted(
        (place for place in places if lines[place].score is not None),
        key=lambda place: lines[place].score or 0.0,
    )
    first = [place for place in places if lines[place].problem_id in named]
    taken = dict.fromkeys(first)
    for place in _in_turn(troubled, scored, scored[::-1], lot):
        taken.setdefault(place)
    return list(taken)


def _in_turn(*queues: Sequence[int]) -> Iterator[int]:
    for turn in range(max(map(len, queues))):
        for queue in queues:
            if turn < len(queue):
                yield queue[turn]
