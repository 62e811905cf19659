"""Today's problems against those of an earlier run: new, changed, unchanged, withdrawn.

By content alone (id, question, answers, domain): what the recipe does with them is another matter
(`cord.changes.differences`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from cord.fingerprint import fingerprint
from cord.types import Problem

Contents: TypeAlias = Mapping[str, str]
"""Problem id to the hash of what is asked."""


@dataclass(frozen=True, slots=True)
class ProblemChanges:
    """Ids, in the order of the source; of withdrawn ones, in the earlier run's."""

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """The same id, another question, answer or domain."""
    unchanged: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    """Not in the source any more, or set aside in reading it."""

    @property
    def share_withdrawn(self) -> float:
        """Of the earlier run's problems, 0 to 1; 0 where there were none."""
        earlier = len(self.changed) + len(self.unchanged) + len(self.withdrawn)
        return len(self.withdrawn) / earlier if earlier else 0.0

    @property
    def any(self) -> bool:
        """Whether anything is not as it was."""
        return bool(self.new or self.changed or self.withdrawn)


def compare_problems(before: Contents, today: Contents) -> ProblemChanges:
    """What became of the problems of `before`, and which came to them."""
    same = {id for id, content in today.items() if before.get(id) == content}
    return ProblemChanges(
        new=tuple(id for id in today if id not in before),
        changed=tuple(id for id in today if id in before and id not in same),
        unchanged=tuple(id for id in today if id in same),
        withdrawn=tuple(id for id in before if id not in today),
    )


def contents_of(problems: Iterable[Problem]) -> dict[str, str]:
    """Of problems that were read."""
    return {p.id: _content(p.question, list(p.answers), p.domain) for p in problems}


def contents_in(asked: pa.Table) -> dict[str, str]:
    """Of rows of `cord.lake.runs.run_tables.asked_in`."""
    columns = (asked[name].to_pylist() for name in ("problem_id", "question", "answers", "domain"))
    return {id: _content(*content) for id, *content in zip(*columns, strict=True)}


def _content(question: str, answers: list[str], domain: str | None) -> str:
    return fingerprint([question, answers, domain])
