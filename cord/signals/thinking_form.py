"""Thinking and answer told apart, and whether the tags between them are as they should be."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from cord.prompts import THINK_CLOSE, THINK_OPEN
from cord.signals.slices import Column, numbers, pc

FORMS = (
    "tagged",  # thinking, one `</think>`, an answer
    "unclosed",  # no `</think>`
    "reopened",  # `<think>` once more
    "closed-again",  # more than one `</think>`
    "no-thinking",  # nothing before `</think>`
    "no-answer",  # nothing behind it
)
"""The first that fits counts, but for `tagged`, which is none of the others."""

BLANK = r"[\t-\r\x1c-\x20\x{85}\p{Z}]"
"""What `str.strip` strips, for RE2."""


class Parts(NamedTuple):
    """The parts of trajectories' texts, each as long as the array they were made from."""

    thinking: Column
    """In front of the first `</think>`; all where there is none."""
    answer: Column
    """Behind it; null where there is none."""


def parts_of(texts: Column) -> Parts:
    """Cut texts (everything behind `<think>\\n`) at their first `</think>`."""
    pieces = pc.split_pattern(texts, THINK_CLOSE, max_splits=1)
    first = pieces.offsets[:-1]
    count = pc.fill_null(pc.list_value_length(pieces), 0)
    thinking = pieces.values.take(pc.if_else(pc.greater(count, 0), first, None))
    answer = pieces.values.take(pc.if_else(pc.greater(count, 1), pc.add(first, 1), None))
    return Parts(thinking, answer)


def thinking_forms(texts: Column, parts: Parts) -> Column:
    """One of `FORMS` for each text; null for null."""
    blank = rf"\A{BLANK}*\z"
    return pc.case_when(
        pc.make_struct(
            pc.is_null(texts),
            pc.is_null(parts.answer),
            pc.match_substring_regex(texts, THINK_OPEN),  # faster than for a plain substring
            pc.match_substring_regex(parts.answer, THINK_CLOSE),
            pc.match_substring_regex(parts.thinking, blank),
            pc.match_substring_regex(parts.answer, blank),
        ),
        pa.scalar(None, pa.string()),
        *(pa.scalar(form) for form in FORMS[1:]),
        pa.scalar(FORMS[0]),
    )


def truncated(finished: Column, parts: Parts) -> Column:
    """Whether a trajectory ends before its end: it is not finished, has nothing behind its
    thinking, or opens more braces there than it closes, as `\\boxed{12` does."""
    opened, closed = (numbers(pc.count_substring(parts.answer, brace)) for brace in "{}")
    empty = pc.fill_null(pc.match_substring_regex(parts.answer, rf"\A{BLANK}*\z"), True)
    cut = pc.or_(empty, pa.array(opened > closed))
    cut = pc.or_(cut, pc.invert(pc.fill_null(finished, True)))
    return pc.if_else(pc.is_valid(parts.thinking), cut, None)
