"""From judged trajectories to candidate records, a batch at a time.

Texts stay in Arrow from the lake to the lake: choosing looks at a few numbers a trajectory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cord.lake.runs.candidates import ASIDE, CANDIDATES
from cord.prompts import THINK_OPEN
from cord.records import SetAside, Standing
from cord.signals.columns import SIGNALS
from cord.signals.measuring import signals

_STANDING = (
    "problem_id", "rank", "finished", "outcome", "reason", "score", "start_score", "scores"
)  # fmt: skip
_CONTENT_CHARACTERS = 10_000
_AS_THEY_ARE = (
    "problem_id", "question", "teachers", "steps", "tokens", "score", "run_id", "key", "rank",
    "missing", "outcome",
)  # fmt: skip


def whole_problems(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows, sorted by problem, cut so that no problem is in two batches."""
    rest: list[pa.RecordBatch] = []
    for batch in batches:
        if not batch.num_rows:
            continue
        joined = _joined([*rest, batch])
        ids = joined["problem_id"]
        last = pc.index(ids, ids[-1]).as_py()
        if last:
            yield joined.slice(0, last)
        rest = [joined.slice(last)]
    if rest:
        yield _joined(rest)


def standings(batch: pa.RecordBatch) -> list[Standing]:
    """Where each row of a batch of judged trajectories stands."""
    columns = {name: batch[name].to_pylist() for name in _STANDING}
    columns["scores"] = [None if one is None else tuple(one) for one in columns["scores"]]
    beside = zip(*columns.values(), strict=True)
    return [Standing(place, *values) for place, values in enumerate(beside)]


def record_batch(rows: pa.RecordBatch, domain: str) -> pa.RecordBatch:
    """Candidate records (`CANDIDATES`), signals included, of judged trajectories: rows of
    `cord.lake.runs.run_tables.judged_batches`. `domain` is that of problems without one."""
    by_reference = rows.drop_columns(["answer"]).append_column("answer", rows["reference"])
    measured = signals(by_reference)
    columns: dict[str, Any] = {name: rows[name] for name in _AS_THEY_ARE}
    columns |= {name: measured[name] for name in SIGNALS.names}
    columns["answer"] = rows["reference"]
    columns["domain"] = pc.fill_null(rows["domain"], pa.scalar(domain))
    columns["messages"] = _conversations(rows["question"], rows["text"])
    arrays = [columns[field.name].cast(field.type) for field in CANDIDATES]
    return pa.RecordBatch.from_arrays(arrays, schema=CANDIDATES)


def with_text(records: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same records with `text`, what the assistant says, for `messages`."""
    for batch in records:
        text = pc.struct_field(pc.list_element(batch["messages"], 1), "content")
        yield batch.drop_columns(["messages"]).append_column("text", text)


def aside_batch(rows: pa.RecordBatch, aside: Iterable[SetAside[Standing]]) -> pa.RecordBatch:
    """Rows of `ASIDE` for the problems that were set aside, their texts taken from `rows`."""
    made = [
        {
            "stage": one.stage,
            "problem_id": one.trajectory.problem_id,
            "source": "",
            "reason": one.reason,
            "content": str(rows["text"][one.trajectory.place])[:_CONTENT_CHARACTERS],
        }
        for one in aside
    ]
    return pa.RecordBatch.from_pylist(made, schema=ASIDE)


def _conversations(questions: pa.Array[Any], texts: Any) -> pa.Array[Any]:
    """What a student is trained on: the question, then the trajectory's own text, unchanged."""
    count = len(questions)
    said = pa.concat_arrays([questions, pc.binary_join_element_wise(f"{THINK_OPEN}\n", texts, "")])
    order = np.arange(2 * count).reshape(2, count).T.reshape(-1)
    roles = pa.DictionaryArray.from_arrays(
        pa.array(np.tile([0, 1], count), pa.int32()), pa.array(["user", "assistant"])
    ).cast(pa.string())
    pairs = pa.StructArray.from_arrays([roles, said.take(pa.array(order))], ["role", "content"])
    return pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * count + 1, 2), pa.int32()), pairs)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
