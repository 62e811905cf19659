"""The Parquet files behind a Delta commit, written through the store.

deltalake could write them itself. But where a disk is full or S3 refuses, its writer prints a Rust
panic beside the error (object_store 0.13.2, "Already shut down"), and speaks another dialect than
the store does. Through the store a file is there whole or not at all, is tried again as everything
else is, and what goes wrong is one sentence. The commit stays deltalake's.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from cord.lake.stores.store import Store
from cord.lake.tables.schemas import conform

Rows: TypeAlias = pa.Table | Callable[[], Iterable[pa.RecordBatch]]
"""Rows in memory, or what opens a stream of them, the same each time."""

_FILE_ROWS = 65_536
"""Of a stream; a table is one file."""
_GROUP_ROWS = 8_192
"""Of a file: who looks one row up reads so many."""
_LONG = 64
"""Characters; bounds of longer texts would fill the log, and rule out few files."""


def opened(rows: Rows, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows as batches of exactly this schema. Raises ValueError for rows that do not fit it."""
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows()
    for batch in batches:
        yield from conform(pa.Table.from_batches([batch]), schema).to_batches()


def write_data_files(
    store: Store, table_key: str, rows: Rows, schema: pa.Schema
) -> list[AddAction]:
    """Write rows as Parquet files of the table, a file at a time in memory; returns the actions
    that add them, none for no rows. Raises `LakeError`."""
    if isinstance(rows, pa.Table):
        return [write_data_file(store, table_key, rows)] if rows.num_rows else []
    actions, gathered, count = [], list[pa.RecordBatch](), 0
    for batch in opened(rows, schema):
        gathered.append(batch)
        count += batch.num_rows
        if count >= _FILE_ROWS:
            actions.append(write_data_file(store, table_key, pa.Table.from_batches(gathered)))
            gathered, count = [], 0
    if count:
        actions.append(write_data_file(store, table_key, pa.Table.from_batches(gathered)))
    return actions


def write_data_file(store: Store, table_key: str, rows: pa.Table) -> AddAction:
    """Write `rows` as one Parquet file of the table, and return the action that adds it.

    No reader sees the file before the action is committed. Raises `LakeError`."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", compression_level=3, row_group_size=_GROUP_ROWS)
    content = sink.getvalue().to_pybytes()
    name = f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
    store.write(f"{table_key}/{name}", content)
    return AddAction(
        path=name,
        size=len(content),
        partition_values={},
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps(_statistics(rows)),
    )


def _statistics(rows: pa.Table) -> dict[str, object]:
    """As the Delta protocol wants them: from these a reader knows which files to leave closed."""
    smallest, largest, nulls = {}, {}, {}
    for name in rows.column_names:
        column = rows[name]
        if pa.types.is_nested(column.type):
            continue
        nulls[name] = column.null_count
        if pa.types.is_boolean(column.type) or not _bounded(column):
            continue
        bounds: dict[str, Any] = dict(pc.min_max(column).items())
        if bounds["min"].is_valid:
            smallest[name], largest[name] = bounds["min"].as_py(), bounds["max"].as_py()
    return {
        "numRecords": rows.num_rows,
        "minValues": smallest,
        "maxValues": largest,
        "nullCount": nulls,
    }


def _bounded(column: pa.ChunkedArray[Any]) -> bool:
    """Whether its bounds may be stated: no long texts, no value that is no number."""
    if pa.types.is_string(column.type):
        return (pc.max(pc.utf8_length(column)).as_py() or 0) <= _LONG
    if pa.types.is_floating(column.type):
        return pc.all(pc.is_finite(column)).as_py() is not False
    return pa.types.is_integer(column.type)
