"""Duplicates among items in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from cord.deduplication.questions import duplicate_questions


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Why an item goes."""

    of: str
    """Id of the item that stays; never itself a duplicate."""
    kind: Literal["exact", "near"]
    similarity: float
    """Jaccard index of the word triples, 1 for an exact one."""


def find_duplicates(
    items: Iterable[tuple[str, str, tuple[float, ...]]], near: float | None
) -> dict[str, Duplicate]:
    """The items (id, text, sort key) that go, by id; whatever is not in it stays.

    Of several, the one with the smallest key stays (`(-score, tokens)`, say); ties go to the
    shorter text, then to the smaller id. Raises ValueError for an id that stands twice."""
    all_ = list(items)
    if len({id_ for id_, _, _ in all_}) < len(all_):
        raise ValueError("an id stands twice among the items; ids must be unique")
    place = {key: n for n, key in enumerate(sorted({key for _, _, key in all_}))}
    batch = pa.RecordBatch.from_pydict(
        {
            "problem_id": pa.array([id_ for id_, _, _ in all_], pa.string()),
            "question": pa.array([text for _, text, _ in all_], pa.string()),
            "score": pa.array([-place[key] for _, _, key in all_], pa.float64()),
            "tokens": pa.array([len(text) for _, text, _ in all_], pa.int64()),
        }
    )
    return {
        row["problem_id"]: Duplicate(row["of"], row["kind"], row["similarity"])
        for row in duplicate_questions(lambda: [batch], near).to_pylist()
    }
