"""Which trajectories of one problem say the same.

They are solutions by the same teachers and were all judged; a number more or less makes no other
problem of them. So nothing but case and white space is evened out, and no signature must agree.
Groups are small (what a search ends with): every pair is compared, without MinHash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cord.deduplication.hashing import Ends, Hashes, WordHashes, triples
from cord.lake.tables.schemas import columns

TRAJECTORY_DUPLICATES = columns(
    {
        "problem_id": pa.string(),
        "rank": pa.int32(),
        "of": pa.int32(),  # rank of the trajectory that stays
        "kind": pa.string(),  # exact or near
        "similarity": pa.float64(),  # Jaccard index of the word triples
    }
)

_BYTES_AT_ONCE = 8_000_000
"""Of rows; the hashes of their words take about ten times as much memory."""


def duplicate_trajectories(rows: Iterable[pa.RecordBatch], near: float | None) -> pa.Table:
    """The trajectories that go, as `TRAJECTORY_DUPLICATES`, sorted by problem and rank.

    `rows` have problem_id, rank, text, score and tokens; those of a problem stand together
    (ValueError where they are seen not to). `near` in (0, 1] is the least similarity of a
    near-duplicate; None finds exact ones only."""
    words = WordHashes()
    found = [_duplicates(table, near, words) for table in _whole_problems(rows)]
    table = pa.concat_tables([TRAJECTORY_DUPLICATES.empty_table(), *found])
    return table.sort_by([("problem_id", "ascending"), ("rank", "ascending")])


def _whole_problems(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows cut between problems, of problems with several trajectories only."""
    rest: list[pa.RecordBatch] = []
    for batch in _small(rows):
        table = pa.Table.from_batches([*rest, batch]).combine_chunks()
        ids = table["problem_id"]
        changes: Any = pc.not_equal(ids[1:], ids[:-1])
        if len(ids.unique()) <= (pc.sum(changes).as_py() or 0):
            raise ValueError("a problem's trajectories do not stand together; sort them")
        last = pc.index(ids, ids[-1]).as_py()
        rest = table.slice(last).to_batches()
        yield _with_company(table.slice(0, last))
    if rest:
        yield _with_company(pa.Table.from_batches(rest))


def _small(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in rows:
        step = max(1, len(batch) * _BYTES_AT_ONCE // max(1, batch.nbytes))
        for begin in range(0, len(batch), step):
            yield batch.slice(begin, step)


def _with_company(table: pa.Table) -> pa.Table:
    same = np.zeros(len(table) + 1, dtype=bool)  # as the row before it
    if len(table) > 1:
        ids = table["problem_id"]
        same[1:-1] = pc.equal(ids[1:], ids[:-1]).to_numpy()
    return table.filter(pa.array(same[1:] | same[:-1]))


def _duplicates(table: pa.Table, near: float | None, words: WordHashes) -> pa.Table:
    hashes, ends = _word_hashes(table["text"].combine_chunks(), words)
    shingles, shingle_ends = triples(hashes, ends)
    texts, sets = np.split(hashes, ends[:-1]), np.split(shingles, shingle_ends[:-1])
    goes: list[tuple[int, int, str, float]] = []
    for rows in _best_first(table):
        stay: dict[bytes, int] = {}
        for row in rows:
            text = texts[row].tobytes()
            if near is not None:
                sets[row] = _distinct(sets[row])
            if text in stay:
                goes.append((row, stay[text], "exact", 1.0))
            elif near is not None and (found := _nearest(row, stay.values(), sets, near)):
                goes.append((row, found[0], "near", found[1]))
            else:
                stay[text] = row
    gone, of, kind, similarity = zip(*goes, strict=True) if goes else ((), (), (), ())
    rank = table["rank"]
    arrays: list[Any] = [
        table["problem_id"].take(np.array(gone, np.int64)),
        rank.take(np.array(gone, np.int64)),
        rank.take(np.array(of, np.int64)),
        pa.array(kind, pa.string()),
        pa.array(similarity, pa.float64()),
    ]
    return pa.Table.from_arrays(arrays, TRAJECTORY_DUPLICATES.names).cast(TRAJECTORY_DUPLICATES)


def _distinct(values: Hashes) -> Hashes:
    """In ascending order; numpy.unique takes twice as long for these."""
    ordered = np.sort(values)
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]


def _nearest(
    row: int, others: Iterable[int], sets: list[Hashes], near: float
) -> tuple[int, float] | None:
    """Of the others the most similar one (the first of equals), and how similar, if it is near."""
    best: tuple[int, float] | None = None
    own = len(sets[row])
    for other in others:
        theirs = len(sets[other])
        if min(own, theirs) < near * max(own, theirs) or not own:  # whatever they share
            continue
        common = len(np.intersect1d(sets[row], sets[other], assume_unique=True))
        similarity = common / (own + theirs - common)
        if similarity >= near and (best is None or similarity > best[1]):
            best = other, similarity
    return best


def _best_first(table: pa.Table) -> Iterator[list[int]]:
    """The rows of each problem, the one that stays in any case first."""
    if not len(table):
        return
    order = pc.sort_indices(
        table,
        [
            ("problem_id", "ascending"),
            ("score", "descending"),
            ("tokens", "ascending"),
            ("rank", "ascending"),
        ],
    )
    ids = table["problem_id"]  # sorted already: the problems' places do not change
    bounds = pc.not_equal(ids[1:], ids[:-1]).to_numpy()
    for rows in np.split(order.to_numpy(), np.flatnonzero(bounds) + 1):
        yield rows.tolist()


def _word_hashes(texts: pa.Array[Any], words: WordHashes) -> tuple[Hashes, Ends]:
    """The hashes of all words, text behind text, and where each text's end."""
    split = pc.utf8_split_whitespace(pc.utf8_lower(pc.utf8_trim_whitespace(texts)))
    known = split.flatten().dictionary_encode()
    hashes = words.of(cast(list[str], known.dictionary.to_pylist()))
    ends = np.cumsum(pc.list_value_length(split).to_numpy(), dtype=np.int64)
    return hashes[known.indices.to_numpy()], ends
