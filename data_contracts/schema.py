"""The columns come first: names and types as agreed, texts that are valid UTF-8.

Nothing else is looked at while they are not, since every other expectation would only stumble over
the same thing. Physical variants of one logical type count as the same (`large_string` for
`string`, `large_list` for `list`): which one a reader gives is its own affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from data_contracts.expectations import between, every
from data_contracts.gate import gate
from data_contracts.result import Check

COLUMNS = (
    between(
        "columns_present",
        "columns",
        "every agreed column is there, once",
        "add the columns named",
        measure="times",
        least=1,
        most=1,
    ),
    every(
        "columns_foreseen",
        "columns",
        "there are no columns beyond the agreed ones",
        "drop the columns named, or add them to the contract",
    ),
    every(
        "columns_typed",
        "columns",
        "every column has its agreed type",
        "cast the columns named to the agreed type",
    ),
    every(
        "columns_readable",
        "columns",
        "every column is sound: texts are valid UTF-8",
        "find the rows with the bytes named, and set them aside when they are read",
    ),
)


def check_schema(
    contract: str, found: pa.Schema, agreed: pa.Schema, faults: Mapping[str, str]
) -> tuple[Check, ...]:
    """The expectations above; each check's examples name columns.

    `faults` are the columns that are not sound, with the first fault found (`unsound`)."""
    names = [*agreed.names, *(n for n in dict.fromkeys(found.names) if n not in agreed.names)]
    times = [found.names.count(name) for name in names]
    notes = list(names)
    typed, readable = np.full(len(names), np.nan), np.full(len(names), np.nan)
    for place, name in enumerate(names):
        if name not in agreed.names or times[place] != 1:
            continue
        wanted, is_now = agreed.field(name).type, found.field(name).type
        typed[place] = same_type(wanted, is_now)
        if not typed[place]:
            notes[place] = f"{name} (is {is_now}, agreed was {wanted})"
        readable[place] = name not in faults
        if name in faults:
            notes[place] = f"{name} ({faults[name]})"
    measures = {
        "times": np.array(
            [
                float(n) if name in agreed.names else np.nan
                for name, n in zip(names, times, strict=True)
            ]
        ),
        "columns_foreseen": np.array([float(name in agreed.names) for name in names]),
        "columns_typed": typed,
        "columns_readable": readable,
    }
    return gate(f"{contract}.columns", measures, COLUMNS, notes.__getitem__, unit="columns")


def as_agreed(found: pa.Schema, agreed: pa.Schema) -> bool:
    """Whether a table with these columns can be measured."""
    return sorted(found.names) == sorted(agreed.names) and all(
        same_type(field.type, found.field(field.name).type) for field in agreed
    )


def unsound(batch: pa.RecordBatch) -> dict[str, str]:
    """The columns of a batch that are not sound, each with its fault."""
    faults = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            faults[name] = str(error)
    return faults


def same_type(wanted: Any, found: Any) -> bool:
    """Whether two types are the same, but for how strings and lists are laid out in memory."""
    if pa.types.is_string(wanted):
        return (
            pa.types.is_string(found)
            or pa.types.is_large_string(found)
            or pa.types.is_string_view(found)
        )
    if pa.types.is_list(wanted):
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found)
        return is_list and same_type(wanted.value_type, found.value_type)
    if pa.types.is_struct(wanted):
        return (
            pa.types.is_struct(found)
            and [field.name for field in wanted] == [field.name for field in found]
            and all(same_type(w.type, f.type) for w, f in zip(wanted, found, strict=True))
        )
    return bool(wanted == found)
