"""Which problems ask what another problem, or an earlier release, asks too.

A million questions are never in memory: a first reading keeps 128 bits of each normalised question
and 64 of its signature; a second one looks only at those whose signature another question has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cord.deduplication.hashing import Hashes, digest
from cord.deduplication.minhash import Sketches
from cord.deduplication.normal_form import Tokens, is_prose, signature, tokens
from cord.lake.tables.schemas import columns

Rows: TypeAlias = Callable[[], Iterable[pa.RecordBatch]]
"""Opens a stream of rows; each time the same rows in the same order."""

QUESTION_DUPLICATES = columns(
    {
        "problem_id": pa.string(),
        "of": pa.string(),  # the problem that stays
        "release": pa.string(),  # the earlier one that has it; '' for this run
        "kind": pa.string(),  # exact or near
        "similarity": pa.float64(),  # Jaccard index of the word triples
    }
)

_READ = columns(
    {
        "problem_id": pa.string(),
        "score": pa.float64(),
        "tokens": pa.int64(),
        "high": pa.uint64(),
        "low": pa.uint64(),
        "signature": pa.uint64(),  # 0: no prose, and so no near-duplicates
        "row": pa.int64(),
    }
)


def duplicate_questions(
    rows: Rows, near: float | None, earlier: Iterable[tuple[str, Rows]] = ()
) -> pa.Table:
    """The problems that go, as `QUESTION_DUPLICATES`, sorted by id; all others stay.

    `rows` have problem_id, question, score and tokens, perhaps several rows a problem, of which the
    best one speaks for it. `earlier` are releases with their label; their rows have problem_id and
    question, and whatever they ask goes here, be it under the same id. `near` in (0, 1] is the
    least similarity of a near-duplicate; None finds exact ones only, and reads `rows` once. The
    result does not depend on the order of rows, except that of two earlier releases that ask the
    same the first one is named."""
    sources = [*earlier, ("", rows)]
    read = [_read(open_) for _, open_ in sources]
    items = _Items([table for table, _ in read])
    first = _first_alike(items.high, items.low)
    near_of, similarity = _near(items, first, near, sources, [count for _, count in read])
    return _table(items, first, near_of, similarity, [label for label, _ in sources])


def _read(rows: Rows) -> tuple[pa.Table, int]:
    """One row a problem, its best, sorted by id; and how many rows there were."""
    parts: list[pa.RecordBatch] = []
    count = 0
    for batch in rows():
        parts.append(_condensed(batch, count))
        count += len(batch)
    table = pa.Table.from_batches(parts, _READ)
    table = table.take(
        pc.sort_indices(
            table,
            [
                ("problem_id", "ascending"),
                ("score", "descending"),
                ("tokens", "ascending"),
                ("high", "ascending"),
                ("row", "ascending"),
            ],
        )
    )
    ids = table["problem_id"].combine_chunks()
    starts = np.ones(len(ids), dtype=bool)
    starts[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    return table.filter(pa.array(starts)), count


def _condensed(batch: pa.RecordBatch, begin: int) -> pa.RecordBatch:
    texts: list[bytes] = []
    signatures: list[bytes] = []
    for question in cast(list[str], batch.column("question").to_pylist()):
        words = tokens(question)
        # A text of nothing but punctuation equals only itself.
        texts.append(digest(words or ("", question), 16))
        signatures.append(digest(signature(words), 8) if is_prose(words) else bytes(8))
    names = batch.schema.names
    halves = np.frombuffer(b"".join(texts), "<u8").reshape(-1, 2)
    read = {
        "problem_id": batch.column("problem_id").cast(pa.string()),
        "score": batch.column("score") if "score" in names else np.zeros(len(batch)),
        "tokens": batch.column("tokens") if "tokens" in names else np.zeros(len(batch), np.int64),
        "high": halves[:, 0],
        "low": halves[:, 1],
        "signature": np.frombuffer(b"".join(signatures), "<u8"),
        "row": np.arange(begin, begin + len(batch)),
    }
    return pa.RecordBatch.from_pydict(read, schema=_READ)


class _Items:
    """The problems of all sources, by number: the smaller one of two stays."""

    def __init__(self, tables: list[pa.Table]) -> None:
        """The last of `tables`, each sorted by id, is the run's own; the others have precedence."""
        table = pa.concat_tables(tables)
        sizes = [len(each) for each in tables]
        self.settled = sum(sizes[:-1])
        """So many, from the first on, are in earlier releases."""
        score, length = (table[name].to_numpy()[self.settled :] for name in ("score", "tokens"))
        best_first = np.lexsort((length, -score))  # stable: of equals, the smaller id comes first
        order = np.concatenate([np.arange(self.settled), self.settled + best_first])
        self.source = np.repeat(np.arange(len(tables)), sizes)[order]
        self.ids = table["problem_id"].combine_chunks().take(pa.array(order))
        self.high, self.low, self.signature, self.row = (
            table[name].to_numpy()[order] for name in ("high", "low", "signature", "row")
        )

    def __len__(self) -> int:
        return len(self.row)


def _first_alike(high: Hashes, low: Hashes) -> NDArray[np.int64]:
    """For each item the smallest number that has the same text."""
    order = np.lexsort((low, high))  # stable
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)
    first = np.empty_like(order)
    first[order] = order[starts][np.cumsum(starts) - 1]
    return first


def _near(
    items: _Items,
    first: NDArray[np.int64],
    near: float | None,
    sources: list[tuple[str, Rows]],
    counts: list[int],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each item the one it is near to, else -1, and the similarity, else 1; of the first of
    their kind only."""
    of, similarity = np.full(len(items), -1), np.ones(len(items))
    worth = np.flatnonzero((first == np.arange(len(items))) & (items.signature != 0))
    _, group, size = np.unique(items.signature[worth], return_inverse=True, return_counts=True)
    own = np.bincount(group, weights=worth >= items.settled)
    worth = worth[(size[group] > 1) & (own[group] > 0)]
    if near is None or not len(worth):
        return of, similarity
    with Sketches(near, len(worth)) as sketches:
        for source, ((_, open_), count) in enumerate(zip(sources, counts, strict=True)):
            numbers = worth[items.source[worth] == source]
            number_of_row = np.full(count, -1)
            number_of_row[items.row[numbers]] = numbers
            for some, texts in _again(open_, number_of_row):
                sketches.add(some, items.signature[some], texts)
        for found in sketches.near_duplicates(items.settled):
            of[found.number], similarity[found.number] = found.of, found.similarity
    return of, similarity


def _again(
    rows: Rows, number_of_row: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], list[Tokens]]]:
    """Read a second time, of each batch the rows that have a number."""
    if (number_of_row < 0).all():
        return
    begin = 0
    for batch in rows():
        numbers = number_of_row[begin : begin + len(batch)]
        begin += len(batch)
        if begin > len(number_of_row):
            break
        wanted = numbers >= 0
        if wanted.any():
            questions = batch.column("question").filter(pa.array(wanted)).to_pylist()
            yield numbers[wanted], [tokens(text) for text in cast(list[str], questions)]
    if begin != len(number_of_row):
        raise ValueError(
            f"{len(number_of_row)} questions were read first, and then another number of them; "
            "give rows that can be read twice"
        )


def _table(
    items: _Items,
    first: NDArray[np.int64],
    near_of: NDArray[np.int64],
    similarity: NDArray[np.float64],
    labels: list[str],
) -> pa.Table:
    numbers = np.arange(len(items))
    # An exact copy of a near-duplicate belongs to what stays in its stead.
    near_by = near_of[first]
    stays = np.where(near_by >= 0, near_by, first)
    goes = np.flatnonzero((stays != numbers) & (numbers >= items.settled))
    table = pa.table(
        {
            "problem_id": items.ids.take(goes),
            "of": items.ids.take(stays[goes]),
            "release": pa.array(labels).take(items.source[stays[goes]]),
            "kind": pa.array(["exact", "near"]).take((near_by[goes] >= 0).astype(np.int64)),
            "similarity": pa.array(similarity[first[goes]]),
        },
        schema=QUESTION_DUPLICATES,
    )
    return table.sort_by("problem_id")
