"""Rows into a file, a thousand at a time, and texts: there when it is whole, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cord.errors import CordError

_BATCH = 1024


def write_rows(rows: Iterator[dict[str, Any]], path: Path) -> int:
    """Write all rows as Parquet (`.parquet`) or JSON lines; returns how many there were.

    Raises `CordError` when the file cannot be written, and what `rows` raises."""
    write = _parquet if path.suffix == ".parquet" else _lines
    with _whole(path) as part:
        return write(rows, part)


def write_text(text: str, path: Path) -> None:
    """Write a text, over what was there. Raises `CordError`."""
    with _whole(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    part = path.with_name(path.name + ".part")
    try:
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise CordError(f"{path} cannot be written: {error.strerror or error}") from None


def _lines(rows: Iterator[dict[str, Any]], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _parquet(rows: Iterator[dict[str, Any]], path: Path) -> int:
    count = 0
    writer: pq.ParquetWriter | None = None
    schema: pa.Schema | None = None
    try:
        while batch := list(islice(rows, _BATCH)):
            table = pa.Table.from_pylist(batch, schema=schema)
            schema = table.schema
            writer = writer or pq.ParquetWriter(path, schema)
            writer.write_table(table)
            count += table.num_rows
        if writer is None:
            pq.write_table(pa.table({}), path)
    finally:
        if writer is not None:
            writer.close()
    return count
