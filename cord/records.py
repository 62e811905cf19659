"""From trajectories to training records: what is kept, and the exact text a student reads.

`best` keeps a problem's first-ranked trajectory if it was verified correct; `all` keeps every
correct trajectory of the last beam. Where the recipe bounds the value of a path, those below it are
no records: a problem that has no other one is set aside with the reason. A record's assistant
message is `<think>\\n` + steps + `</think>` + the stated answer: the trajectory's own text,
unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cord.path_score import path_value
from cord.prompts import THINK_OPEN
from cord.recipe import PathBound, PathScore
from cord.types import Outcome, Quarantined


@dataclass(frozen=True, slots=True)
class Judged:
    """One trajectory of the last beam, as the lake holds it, with its verdict."""

    problem_id: str
    rank: int
    question: str
    answer: str
    """The reference answer."""
    text: str
    teachers: tuple[str, ...]
    steps: int
    tokens: int
    score: float
    run_id: str
    key: str
    finished: bool
    outcome: Outcome
    reason: str
    missing: tuple[str, ...] = ()
    """Teachers that could not be reached in some round of its search."""
    start_score: float = 1.0
    """Of the empty prefix."""
    scores: tuple[float, ...] | None = None
    """Behind each step, in order; None where an older cord has decoded it."""

    def worth(self, by: PathScore) -> float | None:
        """The value of its path, 0 to 1; None where that is not known."""
        if self.scores is None and by != "last":
            return None
        return math.exp(path_value(self.start_score, self.scores or (self.score,), by))

    def messages(self) -> list[dict[str, str]]:
        """The conversation a student is trained on."""
        return [
            {"role": "user", "content": self.question},
            {"role": "assistant", "content": f"{THINK_OPEN}\n{self.text}"},
        ]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What becomes of each problem: records, or the reason why not."""

    records: tuple[Judged, ...]
    wrong: tuple[Judged, ...]
    """The best trajectory of each problem without a record."""
    undecided: tuple[Quarantined, ...]
    """Problems whose answer could not be judged, and those whose right ones lie below the bound."""
    below: tuple[Judged, ...] = ()
    """Correct trajectories that lie below the bound, also of problems that have another record."""


def choose(
    judged: Iterable[Judged], keep: Literal["best", "all"], bound: PathBound | None = None
) -> Chosen:
    """Choose the trajectories that become records; every problem ends in exactly one group."""
    by_problem: dict[str, list[Judged]] = {}
    for trajectory in judged:
        by_problem.setdefault(trajectory.problem_id, []).append(trajectory)
    records: list[Judged] = []
    wrong: list[Judged] = []
    undecided: list[Quarantined] = []
    below: list[Judged] = []
    for problem_id in sorted(by_problem):
        beam = sorted(by_problem[problem_id], key=lambda t: t.rank)
        considered = beam[:1] if keep == "best" else beam
        correct = [t for t in considered if t.finished and t.outcome == "correct"]
        within = [t for t in correct if bound is None or _reaches(t, bound)]
        below += [t for t in correct if t not in within]
        if within:
            records += within
        elif correct and bound is not None:
            undecided.append(_below(correct[0], bound))
        elif considered[0].outcome == "undecided":
            undecided.append(_undecided(considered[0]))
        else:
            wrong.append(considered[0])
    return Chosen(tuple(records), tuple(wrong), tuple(undecided), tuple(below))


def _reaches(trajectory: Judged, bound: PathBound) -> bool:
    worth = trajectory.worth(bound.by)
    return worth is not None and worth >= bound.at_least


def _below(trajectory: Judged, bound: PathBound) -> Quarantined:
    worth = trajectory.worth(bound.by)
    reason = (
        "correct, but the scores along its path are not in the lake (an older cord decoded it), so "
        "that publish.path cannot be held"
        if worth is None
        else f"correct, but its path is worth {worth:.4g} by {bound.by}, less than publish.path "
        f"asks ({bound.at_least:g})"
    )
    return Quarantined("records", reason, trajectory.problem_id, content=trajectory.text[:10_000])


def _undecided(trajectory: Judged) -> Quarantined:
    return Quarantined(
        stage="verify",
        reason=f"undecided: {trajectory.reason}",
        problem_id=trajectory.problem_id,
        content=trajectory.text[:10_000],
    )


def record_rows(records: Sequence[Judged]) -> list[dict[str, object]]:
    """Rows of the `records` schema, with the verdict's `outcome` for the contract to see."""
    return [
        {
            "problem_id": r.problem_id,
            "question": r.question,
            "answer": r.answer,
            "messages": r.messages(),
            "teachers": list(r.teachers),
            "steps": r.steps,
            "tokens": r.tokens,
            "score": r.score,
            "run_id": r.run_id,
            "key": r.key,
            "rank": r.rank,
            "missing": list(r.missing),
            "outcome": r.outcome,
        }
        for r in records
    ]


def teacher_shares(records: Iterable[Judged]) -> Mapping[str, float]:
    """Share of the kept steps that each teacher wrote."""
    counts: dict[str, int] = {}
    for record in records:
        for teacher in record.teachers:
            counts[teacher] = counts.get(teacher, 0) + 1
    total = sum(counts.values())
    return {teacher: counts[teacher] / total for teacher in sorted(counts)} if total else {}
