"""`sft`: one conversation a row, `{"messages": [{role, content}, ...]}`, the form that TRL's
SFTTrainer and most other trainers take, with `problem_id` and `score` beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cord.export.options import PairOptions
from cord.lake.tables.query import stream

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest


def rows(lake: Lake, release: Manifest, options: PairOptions) -> Iterator[dict[str, Any]]:
    """A release's records, by problem and rank."""
    sql = "select problem_id, messages, score from records order by problem_id, rank"
    with stream(lake, sql, release=release.label) as batches:
        for batch in batches:
            yield from batch.to_pylist()
