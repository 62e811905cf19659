"""The answer to a query on standard output: as a table, as JSON, as CSV.

Written batch by batch, so that an answer may be larger than memory and `| head` ends it early.
"""

from __future__ import annotations

import io
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from cord.errors import UsageError
from flows.command_line.terminal import json_text, plain_value, print_table, say, visible

TABLE_ROWS = 1000
"""A table is for eyes; more rows than this are counted, not shown."""


def print_answer(batches: pa.RecordBatchReader, form: str) -> None:
    """Print an answer in the form `table`, `json` or `csv`.

    Raises `UsageError` for a value that Python cannot hold, as a date in the year 20,000."""
    match form:
        case "json":
            _as_json(batches)
        case "csv":
            _as_csv(batches)
        case _:
            _as_table(batches)


def _rows(batches: pa.RecordBatchReader) -> Iterator[tuple[object, ...]]:
    names = batches.schema.names
    for batch in batches:
        columns = [_values(name, column) for name, column in zip(names, batch.columns, strict=True)]
        yield from zip(*columns, strict=True)


def _values(name: str, column: pa.Array[Any]) -> list[object]:
    try:
        return [plain_value(value) for value in column.to_pylist()]
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise UsageError(
            f"column {name!r} holds a value that cannot be shown ({error}); "
            f"select {name}::varchar instead"
        ) from None


def _as_table(batches: pa.RecordBatchReader) -> None:
    names, rows = batches.schema.names, _rows(batches)
    print_table(names, list(itertools.islice(rows, TABLE_ROWS)))
    if more := sum(1 for _ in rows):
        say(f"and {more} more rows; `--format csv` or `--format json` gives them all")


def _as_json(batches: pa.RecordBatchReader) -> None:
    """One JSON array of objects, on one line."""
    names, comma = batches.schema.names, "["
    for row in _rows(batches):
        sys.stdout.write(comma + json_text(dict(zip(names, row, strict=True))))
        comma = ", "
    print("[]" if comma == "[" else "]")


def _as_csv(batches: pa.RecordBatchReader) -> None:
    schema, head = batches.schema, True
    for batch in itertools.chain([_empty(schema)], batches):
        columns = [
            _for_csv(name, column) for name, column in zip(schema.names, batch.columns, strict=True)
        ]
        sink = io.BytesIO()
        options = pa_csv.WriteOptions(include_header=head)
        pa_csv.write_csv(pa.table(columns, schema.names), sink, options)
        text, head = sink.getvalue().decode(), False
        sys.stdout.write(visible(text) if sys.stdout.isatty() else text)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _for_csv(name: str, column: pa.Array[Any]) -> pa.Array[Any]:
    """CSV has numbers and texts; lists, structs and the like become JSON text."""
    kind = column.type
    if not (pa.types.is_nested(kind) or pa.types.is_interval(kind) or pa.types.is_binary(kind)):
        return column
    values = _values(name, column)
    texts = [
        v if v is None or isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values
    ]
    return pa.array(texts, pa.string())
