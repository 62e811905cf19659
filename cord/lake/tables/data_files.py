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
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from cord.lake.stores.store import Store

_LONG = 64
"""Characters; bounds of longer texts would fill the log, and rule out few files."""


def write_data_file(store: Store, table_key: str, rows: pa.Table) -> AddAction:
    """Write `rows` as one Parquet file of the table, and return the action that adds it.

    No reader sees the file before the action is committed. Raises `LakeError`."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", compression_level=3)
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
