"""From trajectories to training records: what is kept, and the exact text a student reads.

`best` keeps a problem's first-ranked trajectory if it was verified correct; `all` keeps every
correct trajectory of the last beam. Where the recipe bounds the value of a path, those below it are
no records: a problem that has no other one is set aside with the reason. A record's assistant
message is `<think>\\n` + steps + `</think>` + the stated answer: the trajectory's own text,
unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from cord.path_score import path_value
from cord.recipe import PathBound, PathScore
from cord.types import Outcome


class Ranked(Protocol):
    """What choosing looks at: where one trajectory of the last beam stands, and its verdict."""

    @property
    def problem_id(self) -> str: ...
    @property
    def rank(self) -> int: ...
    @property
    def finished(self) -> bool: ...
    @property
    def outcome(self) -> Outcome: ...
    @property
    def reason(self) -> str:
        """Of the verdict."""
        ...

    @property
    def score(self) -> float: ...
    @property
    def start_score(self) -> float:
        """Of the empty prefix."""
        ...

    @property
    def scores(self) -> tuple[float, ...] | None:
        """Behind each step, in order; None where an older cord has decoded it."""
        ...


T = TypeVar("T", bound=Ranked)


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


@dataclass(frozen=True, slots=True)
class Standing:
    """A trajectory among many, without its texts (see `Ranked`)."""

    place: int
    """Of its row, among those it was read with."""
    problem_id: str
    rank: int
    finished: bool
    outcome: Outcome
    reason: str
    score: float
    start_score: float
    scores: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class SetAside(Generic[T]):
    """A problem that goes to quarantine, by its best trajectory."""

    trajectory: T
    stage: Literal["verify", "records"]
    reason: str


@dataclass(frozen=True, slots=True)
class Chosen(Generic[T]):
    """What becomes of each problem: records, or the reason why not."""

    records: tuple[T, ...]
    wrong: tuple[T, ...]
    """The best trajectory of each problem without a record."""
    aside: tuple[SetAside[T], ...]
    """Problems whose answer could not be judged, and those whose right ones lie below the bound."""
    below: tuple[T, ...] = ()
    """Correct trajectories that lie below the bound, also of problems that have another record."""


def choose(
    judged: Iterable[T], keep: Literal["best", "all"], bound: PathBound | None = None
) -> Chosen[T]:
    """Choose the trajectories that become records; every problem ends in exactly one group."""
    by_problem: dict[str, list[T]] = {}
    for trajectory in judged:
        by_problem.setdefault(trajectory.problem_id, []).append(trajectory)
    records: list[T] = []
    wrong: list[T] = []
    aside: list[SetAside[T]] = []
    below: list[T] = []
    for problem_id in sorted(by_problem):
        beam = sorted(by_problem[problem_id], key=lambda t: t.rank)
        considered = beam[:1] if keep == "best" else beam
        correct = [t for t in considered if t.finished and t.outcome == "correct"]
        within = [t for t in correct if bound is None or _reaches(t, bound)]
        below += [t for t in correct if t not in within]
        if within:
            records += within
        elif correct and bound is not None:
            aside.append(SetAside(correct[0], "records", _below(correct[0], bound)))
        elif considered[0].outcome == "undecided":
            reason = f"undecided: {considered[0].reason}"
            aside.append(SetAside(considered[0], "verify", reason))
        else:
            wrong.append(considered[0])
    return Chosen(tuple(records), tuple(wrong), tuple(aside), tuple(below))


def worth(trajectory: Ranked, by: PathScore) -> float | None:
    """The value of its path, 0 to 1; None where that is not known."""
    if trajectory.scores is None and by != "last":
        return None
    scores = trajectory.scores or (trajectory.score,)
    return math.exp(path_value(trajectory.start_score, scores, by))


def _reaches(trajectory: Ranked, bound: PathBound) -> bool:
    value = worth(trajectory, bound.by)
    return value is not None and value >= bound.at_least


def _below(trajectory: Ranked, bound: PathBound) -> str:
    value = worth(trajectory, bound.by)
    if value is None:
        return (
            "correct, but the scores along its path are not in the lake (an older cord decoded "
            "it), so that publish.path cannot be held"
        )
    return (
        f"correct, but its path is worth {value:.4g} by {bound.by}, less than publish.path "
        f"asks ({bound.at_least:g})"
    )
