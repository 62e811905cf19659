"""A release in a few dozen numbers: what a data card shows, and what the next one is held against.

Means and shares are exact. Quantiles are exact up to `SAMPLE` rows; beyond, they are those of every
second, fourth, ... row, so that memory stays bounded whatever the release's size.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cord.signals.slices import Column, Numbers, numbers

SAMPLE = 1 << 16
MOST_SHARES = 100
"""Values of a column that are named; the rest are counted together as `OTHERS`."""
OTHERS = "(others)"
BINS = 20
"""Of the histograms."""

NUMBERS: Final = (
    "score",
    "start_score",
    "tokens",
    "steps",
    "step_characters",
    "longest_step",
    "repetition",
    "certain_at",
)
SHARES: Final = ("domain", "language", "question_language", "thinking_form")
FLAGS: Final = ("truncated", "leaks_answer")
TEACHERS = "teachers"
COLUMNS: Final = (*NUMBERS, *SHARES, *FLAGS, TEACHERS)
"""Columns of records that a profile reads; those that a batch lacks are left out."""

Profile = dict[str, Any]
"""Plain JSON: {"rows": n, "numbers": {column: {"known", "mean", "least", "p05", "p50", "p95",
"most", "histogram"}}, "shares": {column: {value: share of the known}}, "flags": {column: share}}.
`shares["teachers"]` are shares of all steps. A column without a known value is left out."""


class Profiler:
    """Sums batches up; `profile` may be asked for at any time."""

    def __init__(self) -> None:
        self._rows = 0
        self._numbers = {name: _Spread() for name in NUMBERS}
        self._counts: dict[str, Counter[str]] = {n: Counter() for n in (*SHARES, TEACHERS)}
        self._flags = {name: [0, 0] for name in FLAGS}

    def watch(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches unchanged, each summed up on its way."""
        for batch in batches:
            self.add(batch)
            yield batch

    def add(self, batch: pa.RecordBatch) -> None:
        """Sum one batch of records up."""
        there = set(batch.schema.names)
        for name in there.intersection(NUMBERS):
            self._numbers[name].add(numbers(batch[name]), self._rows)
        for name in there.intersection(SHARES):
            self._count(name, batch[name])
        if TEACHERS in there:
            self._count(TEACHERS, pc.list_flatten(batch[TEACHERS]))
        for name in there.intersection(FLAGS):
            seen = self._flags[name]
            seen[0] += pc.sum(batch[name]).as_py() or 0
            seen[1] += len(batch) - batch[name].null_count
        self._rows += batch.num_rows

    def profile(self) -> Profile:
        """What the batches so far come to."""
        spreads = {name: spread.summary() for name, spread in self._numbers.items()}
        shares = {name: _shares(counts) for name, counts in self._counts.items()}
        return {
            "rows": self._rows,
            "numbers": {name: found for name, found in spreads.items() if found},
            "shares": {name: found for name, found in shares.items() if found},
            "flags": {n: yes / known for n, (yes, known) in self._flags.items() if known},
        }

    def _count(self, name: str, values: Column) -> None:
        counts = self._counts[name]
        for one in pc.value_counts(values.drop_null()).to_pylist():
            # Values come from data: a column of a million different ones must not stay in memory.
            known = one["values"] in counts or len(counts) < 10 * MOST_SHARES
            counts[one["values"] if known else OTHERS] += one["counts"]


def profile_of(batches: Iterable[pa.RecordBatch]) -> Profile:
    """The profile of a stream of records."""
    profiler = Profiler()
    for batch in batches:
        profiler.add(batch)
    return profiler.profile()


class _Spread:
    """Mean and quantiles of one column."""

    def __init__(self) -> None:
        self._known, self._sum = 0, 0.0
        self._least, self._most = math.inf, -math.inf
        self._every = 1
        self._sample: list[Numbers] = []
        self._sampled = 0

    def add(self, values: Numbers, row: int) -> None:
        """Values of the rows from `row` on; what is not finite is not known."""
        places = np.flatnonzero(np.isfinite(values))
        known = values[places]
        if not known.size:
            return
        self._known += known.size
        self._sum += float(known.sum())
        self._least = min(self._least, float(known.min()))
        self._most = max(self._most, float(known.max()))
        # By a row's place in the whole, so that how it is cut into batches makes no difference.
        kept = np.column_stack([places + row, known])
        self._sample.append(kept[kept[:, 0] % self._every == 0])
        self._sampled += len(self._sample[-1])
        while self._sampled > SAMPLE:
            self._every *= 2
            whole = np.concatenate(self._sample)
            self._sample = [whole[whole[:, 0] % self._every == 0]]
            self._sampled = len(self._sample[0])

    def summary(self) -> dict[str, Any]:
        """Empty where nothing is known."""
        if not self._known:
            return {}
        sample = np.concatenate(self._sample)[:, 1]
        if not sample.size:
            sample = np.array([self._sum / self._known])
        p05, p50, p95 = (float(p) for p in np.quantile(sample, [0.05, 0.5, 0.95]))
        within = (self._least, self._most)
        if np.spacing(max(map(abs, within))) * BINS > self._most - self._least:
            within = (self._least, self._least)  # they differ by rounding alone: one value
        counts, _ = np.histogram(sample, BINS, within)
        return {
            "known": self._known,
            "mean": self._sum / self._known,
            "least": self._least,
            "p05": p05,
            "p50": p50,
            "p95": p95,
            "most": self._most,
            "histogram": [round(float(n) / len(sample), 6) for n in counts],
        }


def _shares(counts: Counter[str]) -> dict[str, float]:
    """Shares, the largest first; of equal ones by name."""
    total = sum(counts.values())
    named = sorted(counts.items(), key=lambda one: (one[0] == OTHERS, -one[1], one[0]))
    shown, rest = named[:MOST_SHARES], named[MOST_SHARES:]
    shares = {value: count / total for value, count in shown}
    if rest:
        shares[OTHERS] = shares.get(OTHERS, 0.0) + sum(count for _, count in rest) / total
    return shares
