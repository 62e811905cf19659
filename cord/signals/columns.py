"""The quality signals: their names, types and meaning."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

TEACHER_SHARES: Final = pa.list_(
    pa.struct([pa.field("teacher", pa.string()), pa.field("share", pa.float64())])
)

_TYPES: Final[dict[str, pa.DataType]] = {
    "language": pa.string(),  # of the thinking, ISO 639; null where it cannot be told
    "question_language": pa.string(),  # the same of the question
    "thinking_form": pa.string(),  # tagged, or its fault (cord.signals.thinking_form)
    "repetition": pa.float64(),  # share of its ten words in a row that stood before; 0 to 1
    "step_characters": pa.float64(),  # of a step of the thinking, on average
    "longest_step": pa.int64(),  # characters; null where its text does not show the steps
    "teacher_shares": TEACHER_SHARES,  # share of the steps that each teacher wrote; sum 1
    "start_score": pa.float64(),  # S of the empty prefix
    "certain_at": pa.int32(),  # steps until S >= 0.99; 0: from the start, null: never
    "truncated": pa.bool_(),  # not finished, or the stated answer breaks off
    "leaks_answer": pa.bool_(),  # the first step has the answer, and has not computed it
}

SIGNALS: Final = pa.schema(list(_TYPES.items()))
"""Columns of a record. All may be null: records of older releases have none of them."""

DUCKDB_TYPES: Final = {
    "language": "varchar",
    "question_language": "varchar",
    "thinking_form": "varchar",
    "repetition": "double",
    "step_characters": "double",
    "longest_step": "bigint",
    "teacher_shares": "struct(teacher varchar, share double)[]",
    "start_score": "double",
    "certain_at": "integer",
    "truncated": "boolean",
    "leaks_answer": "boolean",
}
"""The same types in DuckDB's words."""
