"""Pairs of steps on one prefix: the best kept one, and others that scored worse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cord.preferences.replay import Replayed
from cord.types import Candidate, Step, Trajectory


@dataclass(frozen=True, slots=True)
class StepPair:
    """Two ways to go on behind one prefix."""

    round: int
    prefix: str
    """Everything behind `<think>\\n` so far; may be empty."""
    chosen: Step
    rejected: Step
    gap: float
    """log S of the chosen step less log S of the rejected one; above 0."""


def step_pairs(rounds: Iterable[Replayed], min_gap: float, most: int) -> Iterator[StepPair]:
    """At most `most` pairs for each prefix of each round, those with the widest gaps, none below
    `min_gap`; no pair twice in one search.

    On each prefix the best kept proposal is set against the dropped ones; where a search keeps all
    (a tree), against all others. Steps that were cut at the token cap are left out: where they end
    nobody has decided. So is a prefix of which nothing was kept."""
    known: set[tuple[str, str, str]] = set()
    rounds = list(rounds)
    keeps_all = all(c.kept for decided in rounds for _, c in decided.candidates)
    for decided in rounds:
        for prefix, candidates in _by_prefix(decided).items():
            whole = [c for c in candidates if c.step.complete]
            kept = [c for c in whole if c.kept]
            if not kept:
                continue
            best = max(kept, key=lambda c: c.step.score)  # the first of equals
            others = [c for c in whole if c is not best and (keeps_all or not c.kept)]
            others.sort(key=lambda c: c.step.score)
            made = 0
            for other in others:
                gap = math.log(best.step.score) - math.log(other.step.score)
                name = (prefix, best.step.text, other.step.text)
                if made == most or gap <= 0 or gap < min_gap:
                    break
                if name in known or best.step.text == other.step.text:
                    continue
                known.add(name)
                made += 1
                yield StepPair(decided.index, prefix, best.step, other.step, gap)


def _by_prefix(decided: Replayed) -> dict[str, list[Candidate]]:
    """By the prefix's text: of whole trajectories all begin at the same one."""
    found: dict[str, list[Candidate]] = {}
    prefix: Trajectory
    for prefix, candidate in decided.candidates:
        found.setdefault(prefix.text, []).append(candidate)
    return found
