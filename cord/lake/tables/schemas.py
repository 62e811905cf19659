"""The columns of every table in the lake, in one place.

A row names its run, its problem and its *key*: the hash of everything that decides what came of
that problem (question, models, search settings, seed). Where a later run needs a key that is in
the lake already, it does not decode again; it lists the problem with shard -1 and the key leads to
the rows of the run that did the work.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from cord.signals.columns import DUCKDB_TYPES, SIGNALS

_TEXTS: Final = pa.list_(pa.string())
_MESSAGE: Final = pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())])


def columns(types: dict[str, pa.DataType]) -> pa.Schema:
    """A schema from column names and types."""
    return pa.schema(list(types.items()))


PROBLEMS: Final = columns(
    {
        "run_id": pa.string(),
        "problem_id": pa.string(),
        "question": pa.string(),
        "answer": pa.string(),
        "alternatives": _TEXTS,  # other spellings of the answer
        "source": pa.string(),  # file:line or dataset:row
        "key": pa.string(),
        "shard": pa.int32(),  # -1: decoded by an earlier run
        "domain": pa.string(),  # of its own; null: the recipe's
    }
)

STEPS: Final = columns(
    {
        "run_id": pa.string(),
        "problem_id": pa.string(),
        "key": pa.string(),
        "round": pa.int32(),
        "beam": pa.int32(),  # place of the prefix in the beam, 0 = best
        "place": pa.int32(),  # place of the proposal in its round
        "teacher": pa.string(),
        "authors": _TEXTS,  # every teacher that proposed this very text
        "text": pa.string(),
        "tokens": pa.int32(),  # sampled for this step
        "score": pa.float64(),
        "gain": pa.float64(),  # log S_t - log S_(t-1)
        "kept": pa.bool_(),
        "finished": pa.bool_(),
        "complete": pa.bool_(),  # false: cut at the token cap
        "prompt_tokens": pa.int32(),  # read in front of it
        "cached_tokens": pa.int32(),  # of these, out of a prefix cache; null where not known
        "seconds": pa.float64(),  # from asking to the answer, waiting for a seat not counted
    }
)

TRAJECTORIES: Final = columns(
    {
        "run_id": pa.string(),
        "problem_id": pa.string(),
        "key": pa.string(),
        "rank": pa.int32(),  # place in the last beam, 0 = best
        "finished": pa.bool_(),
        "score": pa.float64(),
        "start_score": pa.float64(),  # of the empty prefix
        "steps": pa.int32(),
        "tokens": pa.int32(),  # sampled on this path
        "text": pa.string(),
        "answer": pa.string(),  # null where not finished
        "teachers": _TEXTS,  # the author of each step, in order
        "proposed_tokens": pa.int32(),  # sampled for the whole problem, thrown away included
        "missing": _TEXTS,  # teachers that could not be reached in some round
        "scores": pa.list_(pa.float64()),  # behind each step, in order; null in older rows
        "shard": pa.int32(),  # of the run that decoded it; null in older rows
    }
)

COSTS: Final = columns(
    {
        "run_id": pa.string(),
        "problem_id": pa.string(),
        "key": pa.string(),
        "teacher": pa.string(),
        "proposals": pa.int32(),  # rejected and merged ones included
        "tokens": pa.int64(),  # sampled
        "kept_tokens": pa.int64(),  # of its steps on the best trajectory
        "thrown_away_tokens": pa.int64(),  # tokens = kept + thrown away
        "prompt_tokens": pa.int64(),  # read in front of the proposals, out of a cache or not
        "cached_tokens": pa.int64(),  # of these, out of a prefix cache; null where not known
        "seconds": pa.float64(),  # of all its requests together, many of them at once
    }
)

VERDICTS: Final = columns(
    {
        "run_id": pa.string(),
        "problem_id": pa.string(),
        "key": pa.string(),
        "rank": pa.int32(),
        "outcome": pa.string(),  # correct, wrong or undecided
        "method": pa.string(),
        "reason": pa.string(),
        "answer": pa.string(),
    }
)

QUARANTINE: Final = columns(
    {
        "run_id": pa.string(),
        "stage": pa.string(),
        "problem_id": pa.string(),
        "source": pa.string(),
        "reason": pa.string(),
        "content": pa.string(),
    }
)

DROPPED: Final = columns(
    {
        "run_id": pa.string(),
        "stage": pa.string(),  # deduplicate or decontaminate
        "problem_id": pa.string(),
        "rank": pa.int32(),
        "kind": pa.string(),  # exact or near duplicate, or overlap with an evaluation item
        "of": pa.string(),  # the problem (or the rank, of one problem) that stays; the item's id
        "source": pa.string(),  # the release or the evaluation set that has it; empty: this run
        "similarity": pa.float64(),  # of a duplicate: Jaccard, 1 for an exact one
        "words": pa.int32(),  # of an overlap: so many in a row
        "matched": pa.string(),  # of an overlap: the text, as it stands in the record
        "reason": pa.string(),  # one sentence
    }
)
"""Correct records that are not published, each with its evidence; several rows where there is
more than one reason. A problem that has no other record is in `quarantine` too."""

RECORDS: Final = columns(
    {
        "problem_id": pa.string(),
        "question": pa.string(),
        "answer": pa.string(),
        "messages": pa.list_(_MESSAGE),
        "teachers": _TEXTS,
        "steps": pa.int32(),
        "tokens": pa.int32(),
        "score": pa.float64(),
        "run_id": pa.string(),
        "key": pa.string(),
        "rank": pa.int32(),
        "missing": _TEXTS,  # teachers that could not be reached in some round of its search
        "domain": pa.string(),  # by whose rules it was judged; null in older rows, as what follows
        **{field.name: field.type for field in SIGNALS},
    }
)

SCHEMAS: Final[dict[str, pa.Schema]] = {
    "problems": PROBLEMS,
    "steps": STEPS,
    "trajectories": TRAJECTORIES,
    "costs": COSTS,
    "verdicts": VERDICTS,
    "quarantine": QUARANTINE,
    "dropped": DROPPED,
    "records": RECORDS,
}
"""Columns of every table and of a data set's records, by the name of their view."""

CAME_LATER: Final = {
    "problems": {"domain": "varchar"},
    "trajectories": {"scores": "double[]", "shard": "integer"},
    "records": {"domain": "varchar", **DUCKDB_TYPES},
}
"""Columns that tables of older lakes lack, by table, with their type in DuckDB's words. Their old
rows read as null; the next commit adds the column."""

TABLES: Final = ("problems", "steps", "trajectories", "costs", "verdicts", "quarantine", "dropped")
"""The tables that every run appends to."""


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows with exactly the schema's columns, order and types.

    Raises ValueError where a column is missing, unknown or cannot be cast without loss: that is
    a mistake of the caller, not of the user."""
    missing = [name for name in schema.names if name not in rows.column_names]
    unknown = [name for name in rows.column_names if name not in schema.names]
    if missing or unknown:
        raise ValueError(f"columns missing: {missing}, unknown: {unknown}")
    return rows.select(schema.names).cast(schema)
