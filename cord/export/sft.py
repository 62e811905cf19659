"""`sft`: one conversation a row, `{"messages": [{role, content}, ...]}`, the form that TRL's
SFTTrainer and most other trainers take, with `problem_id` and `score` beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cord.export.options import PairOptions
from cord.export.records import records

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest


def rows(lake: Lake, release: Manifest, options: PairOptions) -> Iterator[dict[str, Any]]:
    """A release's records, by problem and rank."""
    return records(lake, release, "problem_id", "messages", "score")
