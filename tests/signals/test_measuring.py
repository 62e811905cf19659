"""All signals together: on rows made up, and on real traces where they are at hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cord.signals.columns import DUCKDB_TYPES, SIGNALS
from cord.signals.measuring import signals

QWEN3 = Path(__file__).parents[3] / "shared" / "data" / "traces_qwen3_tasks.jsonl.gz"
INPUT = pa.schema(
    {
        "question": pa.string(),
        "answer": pa.string(),
        "text": pa.string(),
        "teachers": pa.list_(pa.string()),
        "steps": pa.int32(),
        "start_score": pa.float64(),
        "scores": pa.list_(pa.float64()),
        "finished": pa.bool_(),
    }
)
GOOD = {
    "question": "What is the sum of the two numbers twenty and twenty-two, in plain words?",
    "answer": "42",
    "text": "### Step 1. We add the tens of both numbers, and then we add their ones to that.\n"
    "### Step 2. That is 42.</think>\n\n"
    "The final answer is \\boxed{42}.",
    "teachers": ["add", "say"],
    "steps": 2,
    "start_score": 0.125,
    "scores": [0.5, 0.995],
    "finished": True,
}


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=INPUT)


def test_every_signal_of_a_sound_trajectory() -> None:
    found = signals(batch(GOOD))
    assert found.schema == SIGNALS
    assert found.to_pylist() == [
        {
            "language": "en",
            "question_language": "en",
            "thinking_form": "tagged",
            "repetition": 0.0,
            "step_characters": 52.0,
            "longest_step": 81,
            "teacher_shares": [{"teacher": "add", "share": 0.5}, {"teacher": "say", "share": 0.5}],
            "start_score": 0.125,
            "certain_at": 2,
            "truncated": False,
            "leaks_answer": False,
        }
    ]


def test_an_older_trajectory_has_no_scores_and_is_never_certain() -> None:
    (row,) = signals(batch(GOOD | {"scores": None})).to_pylist()
    assert row["certain_at"] is None and row["start_score"] == 0.125


def test_a_row_of_nulls_has_no_signals() -> None:
    (row,) = signals(batch({})).to_pylist()
    assert set(row.values()) == {None}
    assert signals(batch()).num_rows == 0


texts = st.none() | st.text(max_size=30) | st.sampled_from(["</think>", "### Step 1. \n### Step "])
values = {
    "question": texts,
    "answer": texts,
    "text": texts,
    "teachers": st.none() | st.lists(texts, max_size=3),
    "steps": st.none() | st.integers(-1, 3),
    "start_score": st.none() | st.floats(),
    "scores": st.none() | st.lists(st.none() | st.floats(), max_size=3),
    "finished": st.none() | st.booleans(),
}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.fixed_dictionaries(values), max_size=4))
def test_hostile_rows_are_measured_row_by_row_alike(rows: list[dict[str, Any]]) -> None:
    whole = signals(batch(GOOD, *rows))
    alone = pa.Table.from_batches([signals(batch(GOOD)), *(signals(batch(row)) for row in rows)])
    assert repr(whole.to_pylist()) == repr(alone.to_pylist())  # a NaN is not itself
    assert repr(whole[1:].to_pylist()) == repr(signals(batch(GOOD, *rows)[1:]).to_pylist())


def test_duckdb_calls_the_types_what_we_say() -> None:
    empty = SIGNALS.empty_table()
    with duckdb.connect() as connection:
        found = connection.from_arrow(empty)
        cast = ", ".join(f'null::{kind} as "{name}"' for name, kind in DUCKDB_TYPES.items())
        assert [str(kind) for kind in found.types] == [
            str(kind) for kind in connection.sql(f"select {cast}").types
        ]
    assert list(DUCKDB_TYPES) == SIGNALS.names


@pytest.fixture(scope="module")
def traces() -> list[dict[str, Any]]:
    """Thinking of Qwen3 on short tasks; some was cut off, and some of that runs in circles."""
    if not QWEN3.exists():
        pytest.skip("the traces are not at hand")
    with gzip.open(QWEN3, "rt") as lines:
        return list(_thinking(json.loads(line) for line in lines))


def _thinking(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row["thinking"]:
            yield {
                "question": row["item"]["prompt"],
                "answer": str(row["item"]["answer"]),
                "text": f"{row['thinking']}</think>{row['content'] or ''}",
                "finished": row["done_reason"] != "length",
            }


def test_real_thinking_is_english_and_what_was_cut_off_is_truncated(
    traces: list[dict[str, Any]],
) -> None:
    found = signals(batch(*traces))
    languages = found["language"].to_pylist()
    assert languages.count("en") > 0.9 * len(traces)
    cut = [not trace["finished"] for trace in traces]
    assert [t for t, c in zip(found["truncated"].to_pylist(), cut, strict=True) if c] == [
        True
    ] * sum(cut)
    whole = [r for r, c in zip(found["repetition"].to_pylist(), cut, strict=True) if not c]
    assert max(r for r in whole if r is not None) < 0.2
    assert max(r for r in found["repetition"].to_pylist() if r is not None) > 0.9, "one loops"
