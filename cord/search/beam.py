"""The pure part of the beam search: what merges, what lives on, what ranks first.

No network, no clock, no randomness: each function can be checked by hand.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cord.types import NO_COST, Candidate, Cost, Round, Step, Trajectory

SMALLEST_SCORE = sys.float_info.min
"""Scores are perplexities in (0, 1]; one that underflows stays above 0, so that log S exists."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A proposal that may become a candidate: not yet scored."""

    beam: int
    """Place of its prefix in the beam."""
    prefix: Trajectory
    step: Step
    """With `score` and `gain` still 0."""
    finished: bool
    answer: str | None
    cost: Cost = NO_COST

    @property
    def text(self) -> str:
        """The whole trajectory's text with this step."""
        return self.prefix.text + self.step.text


def merge(drafts: Iterable[Draft]) -> tuple[Draft, ...]:
    """Drafts that make the same trajectory text become one, which keeps all their authors.

    The first stays (beams come best first, teachers in recipe order); the others lend their names.
    """
    merged: dict[str, Draft] = {}
    for draft in drafts:
        known = merged.setdefault(draft.text, draft)
        if known is not draft:
            authors = dict.fromkeys((*known.step.authors, *draft.step.authors))
            merged[draft.text] = replace(known, step=replace(known.step, authors=tuple(authors)))
    return tuple(merged.values())


def scored(draft: Draft, score: float) -> Candidate:
    """A draft with its score S and its gain log S - log S of the prefix.

    Raises ValueError for a score outside [0, 1]: no number is invented for it."""
    if not 0.0 <= score <= 1.0:
        raise ValueError(f"a score lies in (0, 1], not {score!r}")
    score = max(score, SMALLEST_SCORE)
    gain = math.log(score) - math.log(draft.prefix.score)
    step = replace(draft.step, score=score, gain=gain)
    return Candidate(draft.beam, step, draft.finished, draft.answer, cost=draft.cost)


def grow(prefix: Trajectory, candidate: Candidate) -> Trajectory:
    """The prefix with the candidate as its last step."""
    return replace(
        prefix,
        steps=(*prefix.steps, candidate.step),
        finished=candidate.finished,
        answer=candidate.answer,
    )


def select(
    beam: Sequence[Trajectory], candidates: Sequence[Candidate], width: int
) -> tuple[tuple[Trajectory, ...], tuple[Candidate, ...]]:
    """The next beam, best first, and the candidates with `kept` set.

    Finished trajectories compete with the candidates by their score and keep their place while it
    is among the top `width`; a prefix that was not continued falls out. Equal scores keep the
    order: finished before new, then by beam, then by teacher.
    """
    pool: list[tuple[Trajectory, int | None]] = [(t, None) for t in beam if t.finished]
    pool += [(grow(beam[c.beam], c), place) for place, c in enumerate(candidates)]
    pool.sort(key=lambda entry: -entry[0].score)
    best = pool[:width]
    kept = {place for _, place in best}
    marked = tuple(replace(c, kept=place in kept) for place, c in enumerate(candidates))
    return tuple(trajectory for trajectory, _ in best), marked


def replay(start: Trajectory, rounds: Iterable[Round], width: int) -> tuple[Trajectory, ...]:
    """The beam that these decided rounds have led to, from the empty trajectory `start`."""
    beam: tuple[Trajectory, ...] = (start,)
    for decided in rounds:
        beam = select(beam, decided.candidates, width)[0] or beam
    return beam


def rank(beam: Iterable[Trajectory]) -> tuple[Trajectory, ...]:
    """Finished trajectories first, then by score: index 0 is the answer of the search."""
    return tuple(sorted(beam, key=lambda t: (not t.finished, -t.score)))
