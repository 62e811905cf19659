"""The rounds of a search again, from the rows of `steps`: which proposal stood on which prefix.

A row says in which round a proposal was made, at which place of the beam, and whether it was kept;
not what its prefix was. A strategy knows nothing but what was decided (`cord.search.strategies`),
so that the same rounds, taken again, give the same prefixes: beam, tree or restart alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from cord.recipe import SearchSettings
from cord.search.strategies import open_strategy
from cord.types import Candidate, Step, Trajectory


class ReplayError(ValueError):
    """The rows are not those of a search with these settings."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One decided round, each candidate with the prefix that it continues."""

    index: int
    candidates: tuple[tuple[Trajectory, Candidate], ...]


def replay(
    rows: Iterable[Mapping[str, Any]], start_score: float, settings: SearchSettings
) -> Iterator[Replayed]:
    """The rounds of one problem's search, in order. `rows` are all its rows of `steps`, by one run
    and key, ordered by round and place; `settings` are those of the run that decoded it.

    Raises `ReplayError` where a proposal stands on no prefix of the search, or where another one
    was kept than the search keeps."""
    strategy = open_strategy(Trajectory(start_score=start_score), settings)
    expected = 0
    for index, of_round in groupby(rows, key=lambda row: int(row["round"])):
        if index < expected:
            raise ReplayError(f"round {index} comes behind round {expected - 1}")
        for _ in range(expected, index):
            strategy.take(())  # a round of which no proposal could be used has no rows
        expected = index + 1
        prefixes = dict(strategy.growing())
        listed = list(of_round)
        candidates = tuple(_candidate(row) for row in listed)
        if not prefixes.keys() >= {candidate.beam for candidate in candidates}:
            raise ReplayError(f"round {index} continues a prefix that the search had not")
        decided = strategy.take(candidates)
        for row, candidate in zip(listed, decided, strict=True):
            if bool(row["kept"]) != candidate.kept:
                raise ReplayError(f"round {index} kept other proposals than the search keeps")
        yield Replayed(index, tuple((prefixes[candidate.beam], candidate) for candidate in decided))


def _candidate(row: Mapping[str, Any]) -> Candidate:
    """A proposal as it was scored, not yet decided. Ids, and what the next step is made to open
    with, are in no row: no strategy looks at them."""
    step = Step(
        text=row["text"],
        teacher=row["teacher"],
        authors=tuple(row["authors"]),
        token_ids=(),
        model="",
        tokens=row["tokens"],
        score=row["score"],
        gain=row["gain"],
        complete=row["complete"],
    )
    return Candidate(row["beam"], step, row["finished"])
