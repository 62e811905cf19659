"""A release's records, by problem and rank, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cord.lake.tables.query import SORTED_WORK, stream

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest


def record_batches(
    lake: Lake, release: Manifest, *columns: str
) -> AbstractContextManager[pa.RecordBatchReader]:
    """These columns, batch by batch; what does not fit into memory is sorted on disk. Raises
    `LakeError`."""
    listed = ", ".join(f'"{name}"' for name in columns)
    sql = f"select {listed} from records order by problem_id, rank"  # noqa: S608, our own columns
    return stream(lake, sql, release=release.label, limits=SORTED_WORK)


def records(lake: Lake, release: Manifest, *columns: str) -> Iterator[dict[str, Any]]:
    """The same, row by row."""
    with record_batches(lake, release, *columns) as batches:
        for batch in batches:
            yield from batch.to_pylist()
