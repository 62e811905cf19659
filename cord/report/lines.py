"""The list of a report: one line for every problem, and for every source row that became none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cord.lake.tables.rows import Row
from cord.report.blocks import figure, packed

OUTCOMES = ("correct", "wrong", "undecided", "left out", "quarantined", "not verified", "waiting")
"""What became of a problem. `left out`: correct, but a duplicate or contaminated; `not verified`:
decoded, and not judged yet; `waiting`: not decoded yet. Of two, the later of these counts."""
LINES_A_BLOCK = 2_000
COLUMNS = (
    "id",
    "question",
    "answer",
    "outcome",
    "score",
    "start",
    "steps",
    "tokens",
    "teachers",
    "note",
)


def outcome_of(row: Mapping[str, Any]) -> int:
    """The place in `OUTCOMES` of a row of `line_rows`."""
    if row["stage"] is not None:
        return OUTCOMES.index("quarantined")
    if row["made_by"] is None:
        return OUTCOMES.index("waiting")
    if row["outcome"] not in OUTCOMES:
        return OUTCOMES.index("not verified")
    if row["outcome"] == "correct" and row["dropped"]:
        return OUTCOMES.index("left out")
    return OUTCOMES.index(row["outcome"])


@dataclass(frozen=True, slots=True)
class Line:
    """What has to be known of a problem while the page is made."""

    problem_id: str
    key: str | None
    """None: a source row that became no problem."""
    judgement: str | None
    made_by: str | None
    outcome: int
    is_correct: bool
    """Its best trajectory is verified, whatever became of it later."""
    score: float | None
    start: float | None
    path_bytes: int
    tree_bytes: int

    @property
    def is_troubled(self) -> bool:
        """It did not come out right."""
        return OUTCOMES[self.outcome] not in ("correct", "waiting")


@dataclass(slots=True)
class Listing:
    """All lines: as the page has them, packed, and what is needed of each."""

    lines: list[Line] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """By outcome."""
    unlisted: int = 0
    """For which there was no room."""

    @property
    def bytes(self) -> int:
        """What the list takes in the page."""
        return sum(map(len, self.blocks))


def list_problems(rows: Iterable[Row], names: Mapping[str, int], most_bytes: int) -> Listing:
    """The lines of `reading.line_rows`; `names` has each author's number. Lines that would make
    the list larger than `most_bytes` are counted, not listed."""
    listing, taken, full = Listing(), 0, False
    block: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for row in rows:
        outcome = outcome_of(row)
        listing.counts[OUTCOMES[outcome]] += 1
        if full:
            listing.unlisted += 1
            continue
        listing.lines.append(_line(row, outcome))
        for name, value in _shown(row, outcome, names).items():
            block[name].append(value)
        if len(block["id"]) == LINES_A_BLOCK:
            listing.blocks.append(packed(block))
            taken += len(listing.blocks[-1])
            full = taken > most_bytes
            block = {name: [] for name in COLUMNS}
    if block["id"]:
        listing.blocks.append(packed(block))
    return listing


def _line(row: Row, outcome: int) -> Line:
    return Line(
        problem_id=row["problem_id"],
        key=row["key"],
        judgement=row["judgement"],
        made_by=row["made_by"],
        outcome=outcome,
        is_correct=row["outcome"] == "correct",
        score=row["score"],
        start=row["start_score"],
        path_bytes=int(row["path_bytes"]),
        tree_bytes=int(row["tree_bytes"]),
    )


def _shown(row: Row, outcome: int, names: Mapping[str, int]) -> dict[str, Any]:
    teachers = dict.fromkeys(row["teachers"] or ())
    return {
        "id": row["problem_id"],
        "question": row["question"],
        "answer": row["answer"],
        "outcome": outcome,
        "score": figure(row["score"]),
        "start": figure(row["start_score"]),
        "steps": row["steps"],
        "tokens": row["proposed_tokens"],
        "teachers": [names[name] for name in teachers if name in names],
        "note": "" if OUTCOMES[outcome] == "correct" else row["note"] or "",
    }
