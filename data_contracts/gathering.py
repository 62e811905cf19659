"""A table of any size, read once: its measures are kept, its texts are not.

Batches come from a table or a stream; each is looked through for faults and measured in slices of
`SLICE` rows. What stays is a few numbers a row, and the columns that name rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from data_contracts.measures import Numbers
from data_contracts.result import Check
from data_contracts.schema import as_agreed, check_schema, unsound

SLICE = 2048
"""Rows at a time: texts of 1 MB each still fit a 32-bit offset."""

Source: TypeAlias = pa.Table | pa.RecordBatchReader
"""What a contract is held against; of a reader one batch at a time is in memory."""
Measure: TypeAlias = Callable[[pa.RecordBatch], dict[str, Numbers]]


@dataclass(slots=True)
class Gathered:
    """What is kept of a table."""

    columns: tuple[Check, ...]
    """The expectations on its columns; where one does not hold, nothing was measured."""
    rows: int = 0
    measures: dict[str, Numbers] = field(default_factory=dict)
    """By name, one value a row."""
    named: dict[str, Any] = field(default_factory=dict)
    """The columns that were to be kept, whole."""


def gather(
    contract: str, source: Source, agreed: pa.Schema, measure: Measure, keep: Sequence[str]
) -> Gathered:
    """Read a table to its end, and measure it if its columns are as agreed."""
    found: pa.Schema = source.schema
    measurable, rows = as_agreed(found, agreed), 0
    faults: dict[str, str] = {}
    parts: dict[str, list[Numbers]] = {}
    kept: dict[str, list[Any]] = {name: [] for name in keep}
    for batch in _batches(source):
        rows += batch.num_rows
        faults = {**unsound(batch), **faults}
        if measurable and not faults:
            for part in _slices(batch, agreed):
                for name, values in measure(part).items():
                    parts.setdefault(name, []).append(values)
                for name in keep:
                    kept[name].append(part[name])
    columns = check_schema(contract, found, agreed, faults)
    if not all(check.holds for check in columns):
        return Gathered(columns, rows)
    if not parts:
        parts = {n: [v] for n, v in measure(pa.RecordBatch.from_pylist([], agreed)).items()}
    # One by one, so that pieces and whole are not both in memory.
    measures = {name: np.concatenate(parts.pop(name)) for name in list(parts)}
    named = {name: pa.chunked_array(kept[name], agreed.field(name).type) for name in keep}
    return Gathered(columns, rows, measures, named)


def _batches(source: Source) -> Iterator[pa.RecordBatch]:
    if isinstance(source, pa.Table):
        yield from source.to_batches(max_chunksize=SLICE)
    else:
        yield from source


def _slices(batch: pa.RecordBatch, agreed: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Of none to `SLICE` rows each, in the agreed types; a view's columns in one piece."""
    rows = pa.Table.from_batches([batch]).select(agreed.names)
    for start in range(0, batch.num_rows, SLICE):
        # combine_chunks leaves more than one batch where the texts would overflow one.
        yield from rows.slice(start, SLICE).cast(agreed).combine_chunks().to_batches()
