"""Whether a trajectory knows its answer before it can: it stands in the first step, uncomputed.

A teacher that has the problem by heart writes the answer down and then reasons towards it. So we
look for the reference answer, in plain words, in the first step of several. An answer of one
character proves nothing, nor does one that the question has too, nor one that stands behind an
equals sign: that was computed. A sign, not a proof: small whole numbers turn up by chance.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from cord.signals.slices import Column, Numbers, pc
from cord.signals.steps import first_steps

FIRST_CHARACTERS = 1000
"""Of the first step, and of the question, that are looked at."""
LEAST_CHARACTERS = 2
_COMPUTED = r"(?:=|\\approx|≈|\\implies|⇒)[\s$({\[]*-?[\w.,]+"
_THOUSANDS = r"(\d),(\d{3})\b"
_NO_WORDS = r"\\[dt]?frac\b|\\(?:text|mathrm|left|right)\b|(?:[^\w.]|_|\.\B|\B\.)+"


def leaks_answer(questions: Column, answers: Column, thinking: Column, steps: Numbers) -> Column:
    """Whether each thinking leaks its reference answer; null where one of them is null."""
    first = pc.replace_substring_regex(first_steps(thinking, FIRST_CHARACTERS), _COMPUTED, " ")
    asked = pc.utf8_slice_codeunits(questions, 0, FIRST_CHARACTERS)
    table = pa.table(
        {
            "answer": _words(pc.utf8_slice_codeunits(answers, 0, FIRST_CHARACTERS)),
            "first": _words(first),
            "asked": _words(asked),
            "steps": pa.array(steps),
        }
    )
    with _database().cursor() as cursor:  # Arrow has no row-wise search
        found: Any = cursor.from_arrow(table).project(
            f"steps > 1 and length(answer) >= {LEAST_CHARACTERS + 2} "
            "and contains(first, answer) and not contains(asked, answer)"
        )
        return pc.cast(found.to_arrow_table().column(0).combine_chunks(), pa.bool_())


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def _words(texts: Column) -> Column:
    """In lower case, one space between words and at both ends, no signs; `1,000` as `1000`."""
    lower = pc.replace_substring_regex(pc.utf8_lower(texts), _THOUSANDS, r"\1\2")
    spaced = pc.utf8_trim_whitespace(pc.replace_substring_regex(lower, _NO_WORDS, " "))
    space = pa.scalar(" ", spaced.type)
    return pc.binary_join_element_wise(space, spaced, space, pa.scalar("", spaced.type))
