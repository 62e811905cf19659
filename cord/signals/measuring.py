"""All signals of a batch of trajectories, in one pass."""

from __future__ import annotations

import pyarrow as pa

from cord.signals.columns import SIGNALS
from cord.signals.language import languages
from cord.signals.leak import leaks_answer
from cord.signals.repetition import repetition
from cord.signals.slices import Column, Numbers, large_texts, numbers, pc
from cord.signals.steps import certain_at, step_lengths, teacher_shares
from cord.signals.thinking_form import parts_of, thinking_forms, truncated


def signals(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The columns of `SIGNALS` for each row of a batch, in its order.

    The batch has `question`, `answer` (the reference), `text` (everything behind `<think>\\n`),
    `teachers` (the author of each step), `steps`, `start_score`, `scores` (S behind each step) and
    `finished`; any may be null. Beside it, memory for about six times the batch's texts is needed.
    Raises KeyError where a column is missing."""
    texts = large_texts(batch["text"])
    parts = parts_of(texts)
    steps = numbers(batch["steps"])
    mean, longest = step_lengths(parts.thinking, steps)
    columns = {
        "language": languages(parts.thinking),
        "question_language": languages(batch["question"]),
        "thinking_form": thinking_forms(texts, parts),
        "repetition": _column(repetition(parts.thinking)),
        "step_characters": _column(mean),
        "longest_step": pc.cast(_column(longest), pa.int64()),
        "teacher_shares": teacher_shares(batch["teachers"]),
        "start_score": batch["start_score"],
        "certain_at": certain_at(batch["start_score"], batch["scores"]),
        "truncated": truncated(batch["finished"], parts),
        "leaks_answer": leaks_answer(batch["question"], batch["answer"], parts.thinking, steps),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in SIGNALS.names], schema=SIGNALS)


def _column(values: Numbers) -> Column:
    """With null for NaN."""
    return pa.array(values, from_pandas=True)
