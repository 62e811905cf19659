"""How long steps are, who wrote them, and from which on the answer is certain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from cord.prompts import STEP_HEADER
from cord.signals.columns import TEACHER_SHARES
from cord.signals.slices import Column, Numbers, numbers, pc

CERTAIN = 0.99
"""S from which on the answer counts as certain."""


def step_lengths(thinking: Column, steps: Numbers) -> tuple[Numbers, Numbers]:
    """Characters of a step on average, and of the longest one.

    Steps are told by their headers (`### Step n.`). A text of several steps without headers was cut
    in another way, which it does not show: the longest is NaN then."""
    pieces = pc.split_pattern(thinking, f"\n{STEP_HEADER} ")
    sections, offsets = numbers(pc.list_value_length(pieces)), pieces.offsets.to_numpy()
    lengths = pc.utf8_length(pieces.values).to_numpy(zero_copy_only=False).astype(np.float64)
    longest = np.full(len(thinking), np.nan)
    (some,) = np.nonzero(sections > 0)
    if some.size:
        # The line break in front of a header ends the step before it.
        lengths += 1 + len(STEP_HEADER) + 1
        lengths[offsets[some]] -= len(STEP_HEADER) + 1
        lengths[offsets[some + 1] - 1] -= 1
        longest[some] = np.maximum.reduceat(lengths, offsets[some])
    longest[(sections == 1) & (steps > 1)] = np.nan
    whole = numbers(pc.utf8_length(thinking))
    mean = np.divide(whole, steps, out=np.full(len(thinking), np.nan), where=steps > 0)
    return mean, longest


def first_steps(thinking: Column, most: int) -> Column:
    """The first step of each text, at most so many characters; without headers, its first
    paragraph."""
    begins = pc.utf8_slice_codeunits(thinking, 0, most)
    return pc.replace_substring_regex(begins, rf"(?s)\n(?:{STEP_HEADER} |\n).*\z", "")


def teacher_shares(teachers: Column) -> Column:
    """The share of its steps that each teacher wrote, by name; null for no steps."""
    lists = pc.cast(teachers, pa.list_(pa.string()))
    rows = len(lists)
    owner = pc.list_parent_indices(lists).to_numpy()
    coded = pc.list_flatten(lists).dictionary_encode()
    names = coded.dictionary
    order = pc.sort_indices(names).to_numpy()
    place = np.empty(len(names) + 1, dtype=np.int64)
    place[order] = np.arange(len(names))
    code = pc.fill_null(coded.indices, len(names)).to_numpy()
    owner, code = owner[code < len(names)], code[code < len(names)]
    keys, counts = np.unique(owner * (len(names) + 1) + place[code], return_counts=True)
    whose, who = np.divmod(keys, len(names) + 1)
    total = np.bincount(owner, minlength=rows)
    shares = pa.StructArray.from_arrays(
        [names.take(pa.array(order[who])), pa.array(counts / total[whose])],
        fields=list(TEACHER_SHARES.value_type),
    )
    offsets = np.concatenate([[0], np.cumsum(np.bincount(whose, minlength=rows))])
    lists_of: Any = pa.ListArray
    return lists_of.from_arrays(
        pa.array(offsets, pa.int32()), shares, TEACHER_SHARES, mask=pa.array(total == 0)
    )


def certain_at(start_score: Column, scores: Column) -> Column:
    """Steps until S is `CERTAIN` for the first time: 0 where it is so from the start; null where it
    never is, or the scores behind the steps are not known."""
    lists = pc.cast(scores, pa.list_(pa.float64()))
    found = np.full(len(lists), np.iinfo(np.int32).max, dtype=np.int64)
    owner = pc.list_parent_indices(lists).to_numpy()
    place = np.arange(len(owner)) - np.searchsorted(owner, owner) + 1
    high = numbers(pc.list_flatten(lists)) >= CERTAIN
    np.minimum.at(found, owner[high], place[high])
    found[numbers(start_score) >= CERTAIN] = 0
    known = pc.is_valid(lists).to_numpy(zero_copy_only=False)
    mask = ~known | (found == np.iinfo(np.int32).max)
    return pa.array(found, pa.int32(), mask=mask)
