"""The vectorised measures agree with a slow definition in plain Python."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.gathering import SLICE, gather
from data_contracts.measures import (
    Numbers,
    characters,
    conversation,
    occurrences,
    of_records,
    of_trajectories,
    one_of,
    thinking_measures,
)
from data_contracts.records import RECORD_SCHEMA
from data_contracts.trajectories import TRAJECTORY_SCHEMA

PIECES = ["<think>", "</think>", "\n", " ", "\u00a0", "\u2003", "\x1c", "\x85", "\u200b", "a", "é"]
PIECES += ["<think>\n", "<", "think>", "/", "𝔸", "\r", "\0", "<THINK>", "\\boxed{2}"]
texts = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)
responses = st.one_of(
    texts,
    st.builds("<think>\n{}</think>{}".format, texts, texts),
    st.text(max_size=20),
)
roles = st.sampled_from(["user", "assistant", "system", "", None])
message = st.none() | st.fixed_dictionaries(
    {"role": roles, "content": st.none() | st.sampled_from(["q", "r"]) | responses}
)
asked = st.fixed_dictionaries({"role": st.just("user"), "content": st.just("q")})
answered = st.fixed_dictionaries({"role": st.just("assistant"), "content": responses})
conversations = st.none() | st.lists(message, max_size=3) | st.tuples(asked, answered).map(list)


def plainly_well_formed(messages: list[dict[str, str | None] | None] | None, question: str) -> bool:
    """The contract's sentences on messages, as one would say them in Python."""
    if messages is None or [m and m["role"] for m in messages] != ["user", "assistant"]:
        return False
    user, assistant = (m["content"] if m else None for m in messages)
    if user != question or assistant is None:
        return False
    if not assistant.startswith("<think>\n"):
        return False
    if assistant.count("<think>") != 1 or assistant.count("</think>") != 1:
        return False
    thinking, _, behind = assistant.removeprefix("<think>\n").partition("</think>")
    return bool(thinking.strip()) and bool(behind.strip())


WELL_FORMED = {
    "user_then_assistant": 1,
    "question_asked": 1,
    "thinking_opens_message": 1,
    "opening_tags": 1,
    "closing_tags": 1,
    "thinking_tags_in_order": 1,
    "thinking_not_empty": 1,
    "answer_behind_thinking": 1,
}


def record_table(**columns: list[Any]) -> pa.Table:
    length = len(next(iter(columns.values())))
    return pa.table(
        {f.name: pa.array(columns.get(f.name, [None] * length), f.type) for f in RECORD_SCHEMA},
        schema=RECORD_SCHEMA,
    )


def record_measures(table: pa.Table) -> dict[str, Numbers]:
    """Of a table that may be cut anywhere, without opening the gate on its columns."""
    parts = [of_records(part.cast(RECORD_SCHEMA)) for part in table.to_batches()]
    parts = parts or [of_records(pa.RecordBatch.from_pylist([], RECORD_SCHEMA))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@settings(max_examples=250, deadline=None)
@given(st.lists(conversations, max_size=6))
def test_a_conversation_is_well_formed_exactly_when_plain_python_says_so(
    rows: list[list[dict[str, str | None] | None] | None],
) -> None:
    found = record_measures(record_table(messages=rows, question=["q"] * len(rows)))
    for place, row in enumerate(rows):
        # NaN is passed over, as the expectations do: some other measure must then be broken.
        holds = all(
            math.isnan(found[name][place]) or found[name][place] == right
            for name, right in WELL_FORMED.items()
        )
        assert holds == plainly_well_formed(row, "q"), row


@settings(max_examples=250, deadline=None)
@given(st.lists(st.none() | responses, max_size=6))
def test_each_measure_of_the_thinking_is_what_plain_python_counts(
    rows: list[str | None],
) -> None:
    found = thinking_measures(pa.array(rows, pa.string()))
    for place, row in enumerate(rows):
        values = {name: values[place] for name, values in found.items()}
        if row is None:
            assert all(math.isnan(value) for value in values.values())
            continue
        _, _, behind = row.partition("</think>")
        assert values["thinking_opens_message"] == row.startswith("<think>\n")
        assert values["opening_tags"] == row.count("<think>")
        assert values["closing_tags"] == row.count("</think>")
        assert values["thinking_tags_in_order"] == ("<think>" not in behind)
        assert values["thinking_not_empty"] == all(
            inside.partition("</think>")[0].strip()
            for inside in row.split("<think>")[1:]
            if "</think>" in inside
        )
        stated = "</think>" not in row or row.rpartition("</think>")[2].strip()
        assert values["answer_behind_thinking"] == bool(stated)


@settings(deadline=None)
@given(st.lists(st.none() | texts | st.text(max_size=5), max_size=9))
def test_characters_are_counted_without_the_white_space_around(rows: list[str | None]) -> None:
    found = characters(pa.array(rows, pa.string()))
    counted = [len(row.strip()) if row and row.strip() else None for row in rows]
    assert [None if math.isnan(length) else int(length) for length in found] == counted


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "", None]), st.sampled_from([-1, 0, 1, None])),
        max_size=12,
    )
)
def test_occurrences_count_equal_pairs_and_pass_over_nulls(
    rows: list[tuple[str | None, int | None]],
) -> None:
    ids = pa.chunked_array(
        [pa.array([i for i, _ in part], pa.string()) for part in (rows[:5], rows[5:])]
    )
    ranks = pa.chunked_array([pa.array([r for _, r in rows], pa.int32())])
    counted = Counter(rows)
    assert [None if math.isnan(n) else int(n) for n in occurrences(ids, ranks)] == [
        None if None in row else counted[row] for row in rows
    ]
    alone = Counter(i for i, _ in rows)
    assert [None if math.isnan(n) else int(n) for n in occurrences(ids)] == [
        None if i is None else alone[i] for i, _ in rows
    ]


def test_a_list_with_a_nameless_teacher_is_told_from_an_empty_and_a_missing_one() -> None:
    lists = [["a"], [], None, ["a", None], [""], ["a", " "], ["b", "c"]]
    found = record_measures(record_table(teachers=lists))["teachers_named"]
    assert [None if math.isnan(n) else bool(n) for n in found] == [
        *[True, True, None],
        *[False, False, False, True],
    ]


def test_slices_join_to_the_measures_of_the_whole() -> None:
    """Some thousand rows: more than one slice, cut at a place that no chunk ends at."""
    rows = SLICE * 2 + 7
    table = record_table(problem_id=[f"p{n}" for n in range(rows)], steps=list(range(rows)))
    pieces = pa.concat_tables([table.slice(0, 3000), table.slice(3000)])
    for source in (pieces, pieces.to_reader(max_chunksize=3000)):
        found = gather("records", source, RECORD_SCHEMA, of_records, ["problem_id"])
        assert {len(values) for values in found.measures.values()} == {rows}
        assert found.measures["steps"].tolist() == list(range(rows))
        assert found.named["problem_id"].to_pylist() == pieces["problem_id"].to_pylist()


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.none() | st.lists(st.floats(0.1, 1), max_size=3)),
        max_size=6,
    )
)
def test_scores_are_held_against_steps_and_the_last_one_against_the_score(
    rows: list[tuple[int, list[float] | None]],
) -> None:
    made = [{"steps": steps, "scores": scores, "score": 0.5} for steps, scores in rows]
    found = of_trajectories(pa.RecordBatch.from_pylist(made, schema=TRAJECTORY_SCHEMA))
    for place, (steps, scores) in enumerate(rows):
        beyond, end = found["scores_beyond_steps"][place], found["scores_end_in_score"][place]
        assert math.isnan(beyond) if scores is None else beyond == len(scores) - steps
        assert end == (scores[-1] == 0.5) if scores else math.isnan(end)


def test_one_of_passes_a_null_over() -> None:
    found = one_of(pa.array(["en", "fr", None]), ["en", "de"])
    assert found[:2].tolist() == [1, 0] and math.isnan(found[2])


def test_messages_of_a_sliced_table_are_those_of_its_rows() -> None:
    def said(text: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": "q"}, {"role": "assistant", "content": text}]

    rows = pa.array(
        [said("a"), None, said("b"), [], said("c")], RECORD_SCHEMA.field("messages").type
    )
    _, assistant = conversation(rows.slice(1, 4))
    assert assistant.to_pylist() == [None, "b", None, "c"]
