"""A release's records as rows, by problem and rank, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cord.lake.tables.query import WORK, stream

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest


def records(lake: Lake, release: Manifest, *columns: str) -> Iterator[dict[str, Any]]:
    """These columns, a batch in memory at a time. Raises `LakeError`."""
    listed = ", ".join(f'"{name}"' for name in columns)
    sql = f"select {listed} from records order by problem_id, rank"  # noqa: S608, our own columns
    with stream(lake, sql, release=release.label, limits=WORK) as batches:
        for batch in batches:
            yield from batch.to_pylist()
