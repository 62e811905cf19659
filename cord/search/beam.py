"""The pure part of every search: what merges, what lives on, what ranks first.

No network, no clock, no randomness: each function can be checked by hand.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cord.path_score import path_value
from cord.recipe import PathScore, SearchSettings
from cord.types import NO_COST, Candidate, Cost, Step, Trajectory

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


def can_grow(trajectory: Trajectory, settings: SearchSettings) -> bool:
    """Whether a teacher may add a step: it is neither finished nor at a cap."""
    return (
        not trajectory.finished
        and trajectory.tokens < settings.max_tokens
        and len(trajectory.steps) < settings.max_steps
    )


def value(trajectory: Trajectory, by: PathScore) -> float:
    """What a trajectory is worth (`cord.path_score`): at most 0, higher is better."""
    return path_value(trajectory.start_score, (step.score for step in trajectory.steps), by)


def select(
    beam: Sequence[Trajectory],
    candidates: Sequence[Candidate],
    width: int,
    rank_by: PathScore = "last",
) -> tuple[tuple[Trajectory, ...], tuple[Candidate, ...]]:
    """The next beam, best first, and the candidates with `kept` set.

    Finished trajectories compete with the candidates by their value and keep their place while it
    is among the top `width`; a prefix that was not continued falls out. Equal values keep the
    order: finished before new, then by beam, then by teacher.
    """
    pool: list[tuple[Trajectory, int | None]] = [(t, None) for t in beam if t.finished]
    pool += [(grow(beam[c.beam], c), place) for place, c in enumerate(candidates)]
    pool.sort(key=lambda entry: -value(entry[0], rank_by))
    best = pool[:width]
    kept = {place for _, place in best}
    marked = tuple(c.marked(place in kept) for place, c in enumerate(candidates))
    return tuple(trajectory for trajectory, _ in best), marked


def rank(trajectories: Sequence[Trajectory], by: PathScore = "last") -> tuple[Trajectory, ...]:
    """Finished trajectories first, then by value: index 0 is the answer of the search."""
    return tuple(trajectories[place] for place in order(trajectories, by))


def order(trajectories: Sequence[Trajectory], by: PathScore) -> list[int]:
    """Places of the trajectories, best first."""
    places = range(len(trajectories))
    return sorted(places, key=lambda i: (not trajectories[i].finished, -value(trajectories[i], by)))
