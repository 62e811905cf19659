"""What the contracts measure: one vectorised pass over a table, a few numbers per row.

The texts of a release may be gigabytes; they are read in slices and only the numbers are kept
(`data_contracts.gathering`). NaN means that there is nothing to measure (a null, or no thinking to
look into).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

BLANK = r"[\t-\r\x1c-\x20\x{85}\p{Z}]"
"""What `str.strip` strips, for RE2."""


def of_problems(rows: pa.RecordBatch) -> dict[str, Numbers]:
    """Measures of problems that go in, by name."""
    return {name: characters(rows[name]) for name in ("problem_id", "question", "answer")}


def of_trajectories(rows: pa.RecordBatch) -> dict[str, Numbers]:
    """Measures of what came out of decoding, by name."""
    steps = numbers(rows["steps"])
    scores: Any = rows["scores"]
    last = np.full(len(rows), np.nan)
    (some,) = np.nonzero(numbers(pc.list_value_length(scores)) > 0)
    if some.size:
        of_some = scores.take(pa.array(some))
        ends = of_some.offsets.to_numpy()[1:]
        last[some] = numbers(of_some.values)[ends - 1]
    score, rank = finite(rows["score"]), numbers(rows["rank"])
    finished = numbers(rows["finished"])
    return {
        **{name: characters(rows[name]) for name in ("problem_id", "key")},
        "tokens": numbers(rows["tokens"]),
        "rank": rank,
        "steps": steps,
        "score": score,
        "start_score": finite(rows["start_score"]),
        "finished": finished,
        "best_finished": np.where(rank == 0, finished, np.nan),
        "teachers": numbers(pc.list_value_length(rows["teachers"])),
        "teachers_beyond_steps": numbers(pc.list_value_length(rows["teachers"])) - steps,
        "teachers_named": all_named(rows["teachers"]),
        "scores_beyond_steps": numbers(pc.list_value_length(scores)) - steps,
        "scores_end_in_score": np.where(np.isnan(last), np.nan, (last == score) * 1.0),
        "answer_where_finished": np.where(
            finished == 1, numbers(pc.is_valid(rows["answer"])), np.nan
        ),
    }


def of_records(rows: pa.RecordBatch, languages: Sequence[str] = ()) -> dict[str, Numbers]:
    """Measures of records that would be published, by name; `languages` are those expected."""
    user, assistant = conversation(rows["messages"])
    steps, teachers = numbers(rows["steps"]), numbers(pc.list_value_length(rows["teachers"]))
    return {
        **{n: characters(rows[n]) for n in ("problem_id", "question", "answer", "run_id", "key")},
        **{n: numbers(rows[n]) for n in ("tokens", "rank", "repetition")},
        "steps": steps,
        "score": finite(rows["score"]),
        "teachers": teachers,
        "missing": numbers(pc.list_value_length(rows["missing"])),
        "teachers_beyond_steps": teachers - steps,
        "teachers_named": all_named(rows["teachers"]),
        "verified_correct": (numbers(pc.equal(rows["outcome"], pa.scalar("correct"))) == 1) * 1.0,
        "user_then_assistant": numbers(pc.is_valid(assistant)),
        "question_asked": numbers(pc.equal(user, rows["question"])),
        **thinking_measures(assistant),
        "not_truncated": numbers(pc.invert(rows["truncated"])),
        "answer_not_leaked": numbers(pc.invert(rows["leaks_answer"])),
        "language_expected": one_of(rows["language"], languages),
        "language_of_question": numbers(pc.equal(rows["language"], rows["question_language"])),
    }


def one_of(texts: Any, allowed: Sequence[str]) -> Numbers:
    """Whether each text is one of these; NaN where it is null."""
    found = pc.is_in(texts, value_set=pa.array(allowed, pa.string()))
    return np.where(numbers(pc.is_valid(texts)) == 1, numbers(found), np.nan)


def thinking_measures(assistant: Any) -> dict[str, Numbers]:
    """How the thinking is tagged, for an array of assistant messages (null: all NaN).

    Each looks for one fault only, so that one fault fails one expectation."""

    def lacks(pattern: str) -> Numbers:
        return numbers(pc.invert(pc.match_substring_regex(assistant, pattern)))

    return {
        "thinking_opens_message": numbers(pc.starts_with(assistant, "<think>\n")),
        # the regular expressions are 8 times faster than Arrow's search for a plain substring
        "opening_tags": numbers(pc.count_substring_regex(assistant, "<think>")),
        "closing_tags": numbers(pc.count_substring_regex(assistant, "</think>")),
        "thinking_tags_in_order": lacks("(?s)</think>.*<think>"),
        "thinking_not_empty": lacks(f"<think>{BLANK}*</think>"),
        "answer_behind_thinking": lacks(rf"</think>{BLANK}*\z"),
    }


def conversation(messages: Any) -> tuple[Any, Any]:
    """The user's and the assistant's texts of list<struct<role, content>>: both null on every row
    that is not exactly one user message with a text, then one assistant message with a text."""
    lengths = numbers(pc.list_value_length(messages))
    (pairs,) = np.nonzero(lengths == 2)
    of_pairs = messages.take(pa.array(pairs))
    user, assistant = pc.list_element(of_pairs, 0), pc.list_element(of_pairs, 1)
    user_text, assistant_text = (
        pc.struct_field(user, "content"),
        pc.struct_field(assistant, "content"),
    )
    ordered = (
        (numbers(pc.equal(pc.struct_field(user, "role"), pa.scalar("user"))) == 1)
        & (numbers(pc.equal(pc.struct_field(assistant, "role"), pa.scalar("assistant"))) == 1)
        & (numbers(pc.is_valid(user_text)) == 1)
        & (numbers(pc.is_valid(assistant_text)) == 1)
    )
    place = np.zeros(len(messages), dtype=np.int64)  # of each row among the pairs
    place[pairs] = np.arange(len(pairs))
    missing = np.ones(len(messages), dtype=bool)
    missing[pairs[ordered]] = False
    back = pa.array(place, mask=missing)
    return user_text.take(back), assistant_text.take(back)


def characters(texts: Any) -> Numbers:
    """Length without surrounding white space; NaN where null or blank."""
    lengths = numbers(_trimmed_length(texts))
    return np.where(lengths > 0, lengths, np.nan)


def numbers(values: Any) -> Numbers:
    """Any numeric or boolean array as float64, NaN where null."""
    found: Numbers = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    return found


def finite(values: Any) -> Numbers:
    """The same, NaN also where infinite."""
    found = numbers(values)
    return np.where(np.isfinite(found), found, np.nan)


def occurrences(*columns: pa.ChunkedArray[Any]) -> Numbers:
    """How often each row's value, or pair of values, occurs in the table; NaN where one is null."""
    known = np.ones(len(columns[0]), dtype=bool)
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())
        own = pc.index_in(column, value_set=pc.unique(column)).to_numpy()
        known &= pc.is_valid(column).to_numpy()
        _, codes = np.unique(codes * (len(own) + 1) + own, return_inverse=True)
    counts = np.bincount(codes[known], minlength=len(codes))
    return np.where(known, counts[codes], np.nan)


def times_ranked(problem_ids: Any, ranks: Numbers) -> Numbers:
    """How often each row's problem and rank occur together; NaN where one is not known."""
    known = np.isfinite(ranks)
    return occurrences(problem_ids, pa.chunked_array([pa.array(ranks, mask=~known)]))


def _trimmed_length(texts: Any) -> Any:
    return pc.utf8_length(pc.utf8_trim_whitespace(texts))


def all_named(names: Any) -> Numbers:
    """Whether no name in a row's list is null or blank; NaN where the list is null."""
    named = ~np.isnan(characters(pc.list_flatten(names)))
    rows = pc.list_parent_indices(names).to_numpy(zero_copy_only=False)
    unnamed = np.bincount(rows[~named], minlength=len(names))
    return np.where(numbers(pc.is_valid(names)) == 1, unnamed == 0, np.nan)
