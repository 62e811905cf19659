"""Which records share words in a row with an evaluation set.

Hashes only propose: what they find is compared letter by letter before it counts, so that no
record is dropped for a collision. An item with fewer words than asked for counts where all of it
stands in a record, if it has eight words; a shorter one only where a record's question is nothing
else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from cord.decontamination.items import LEAST_WORDS, Items
from cord.decontamination.sets import EvaluationSets
from cord.decontamination.words import Words, read_words

Where = Literal["question", "response"]

_TYPES: Final[dict[str, pa.DataType]] = {
    "problem_id": pa.string(),
    "rank": pa.int32(),
    "where": pa.string(),  # question or response
    "set": pa.string(),
    "item": pa.string(),  # its id in the set, else its number from 1
    "words": pa.int32(),  # so many of the item in a row
    "matched": pa.string(),  # as it stands in the record, the first 500 characters
}
OVERLAPS: Final = pa.schema(_TYPES)

MATCHED_CHARACTERS = 500
_COLUMNS: Final[dict[Where, str]] = {"question": "question", "response": "text"}


class _Hit(NamedTuple):
    """The longest overlap of one text with one set."""

    text: int
    set: int
    item: int
    words: int
    matched: str


def find_overlaps(
    rows: Iterable[pa.RecordBatch],
    sets: EvaluationSets,
    words: int = 13,
    within: Sequence[Where] = ("question", "response"),
    workers: int = 2,
) -> pa.Table:
    """What of the records stands in an evaluation set too (schema `OVERLAPS`).

    `rows` have problem_id, rank, question and text (the assistant's); `words` in a row make an
    overlap. Of each text and set it is the longest one found, followed to both sides as far as the
    words agree; a table without rows says that the records are clean. It is sorted, and depends
    neither on the order of the rows nor on their batches. Memory holds some batches and what was
    found. Raises ValueError for fewer than eight words."""
    if words < LEAST_WORDS:
        raise ValueError(f"{words} words in a row are no evidence; ask for {LEAST_WORDS} or more")
    if not any(one.texts for one in sets.sets):
        return OVERLAPS.empty_table()
    items = Items(sets, words)
    found = [OVERLAPS.empty_table()]
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for batch in rows:
            waiting.append(pool.submit(_search, batch, items, within))
            if len(waiting) > workers:
                found.append(waiting.popleft().result())
        found += [one.result() for one in waiting]
    every = pa.concat_tables(found).combine_chunks()
    return every.sort_by([(name, "ascending") for name in OVERLAPS.names])


def _search(batch: pa.RecordBatch, items: Items, within: Sequence[Where]) -> pa.Table:
    found = []
    for where in within:
        hits = list(_hits(batch.column(_COLUMNS[where]), items, where == "question"))
        if not hits:
            continue
        records = batch.select(["problem_id", "rank"]).take(pa.array([hit.text for hit in hits]))
        columns = [
            records.column("problem_id"),
            records.column("rank"),
            pa.array([where] * len(hits)),
            pa.array([items.names[hit.set] for hit in hits]),
            pa.array([items.ids[hit.item] for hit in hits]),
            pa.array([hit.words for hit in hits]),
            pa.array([hit.matched[:MATCHED_CHARACTERS] for hit in hits]),
        ]
        found.append(pa.table(columns, OVERLAPS.names).cast(OVERLAPS))
    return pa.concat_tables(found) if found else OVERLAPS.empty_table()


def _hits(texts: pa.Array[Any], items: Items, whole: bool) -> Iterator[_Hit]:
    """The hits of a column; with `whole` also texts that are nothing but a short item."""
    for number, words in read_words(texts):
        for text, item, first, row_first, row_last in _longest(words, items):
            hit = _follow(words, first, items, item, row_first, row_last)
            yield _Hit(number + text, int(items.set_of[item]), item, *hit)
        for text in _of_few_words(words) if whole and items.whole else ():
            first, last = int(words.firsts[text]), int(words.firsts[text + 1])
            for item in items.whole.get(words.spelling(first, last), ()):
                written = words.as_written(first, last - 1)
                yield _Hit(number + text, int(items.set_of[item]), item, last - first, written)


def _of_few_words(words: Words) -> list[int]:
    sizes = np.diff(words.firsts)
    few: list[int] = np.flatnonzero((sizes > 0) & (sizes < LEAST_WORDS)).tolist()
    return few


def _longest(words: Words, items: Items) -> Iterator[tuple[int, int, int, int, int]]:
    """Of each text and set the longest overlap: (text, item, its first word in the text, its first
    word and the word behind its last among the items')."""
    first, rows = items.ngrams.find(words)
    if not len(first):
        return
    texts, owners = words.texts_of(first), items.row_item[rows]
    shifts = words.bounds[first] - items.words.bounds[items.row_first[rows]]
    order = np.lexsort((first, shifts, owners, texts))
    first, rows, texts, owners, shifts = (
        values[order] for values in (first, rows, texts, owners, shifts)
    )
    # Rows that overlap each other, in the text as in the item, are one overlap.
    row_first, row_last = items.row_first[rows], items.row_last[rows]
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = row_first[1:] > row_last[:-1]
    for values in (texts, owners, shifts):
        begins[1:] |= values[1:] != values[:-1]
    at = np.flatnonzero(begins)
    last = row_last[np.append(at[1:], len(rows)) - 1]
    sets = items.set_of[owners[at]]
    # The longest, of these the first item's, of these the first in the text.
    best = np.lexsort((first[at], owners[at], row_first[at] - last, sets, texts[at]))
    pairs = texts[at] * len(items.names) + sets
    _, chosen = np.unique(pairs[best], return_index=True)
    for one in best[chosen].tolist():
        place = at[one]
        yield (
            int(texts[place]),
            int(owners[place]),
            int(first[place]),
            int(row_first[place]),
            int(last[one]),
        )


def _follow(
    words: Words, first: int, items: Items, item: int, row_first: int, row_last: int
) -> tuple[int, str]:
    """(words of the item, text as it stands) of an overlap, as far as it goes to both sides."""
    theirs = items.words
    text = int(words.texts_of(np.array([first]))[0])
    least, most = int(theirs.firsts[item]), int(theirs.firsts[item + 1])
    shift = int(words.bounds[first] - theirs.bounds[row_first])
    limits = words.bounds[words.firsts[text : text + 2]]

    def agrees(word: int) -> bool:
        begin, end = int(theirs.bounds[word]) + shift, int(theirs.bounds[word + 1]) + shift
        inside = limits[0] <= begin and end <= limits[1]
        return inside and words.letters[begin:end].tobytes() == theirs.spelling(word, word + 1)

    def place(word: int) -> int:
        """The word of the text that begins with this one; -1 where none does."""
        at = int(np.searchsorted(words.bounds, theirs.bounds[word] + shift))
        return at if words.bounds[at] == theirs.bounds[word] + shift else -1

    begin = word = row_first
    while word > least and agrees(word - 1):
        word -= 1
        begin = word if place(word) >= 0 else begin
    end = word = row_last
    while word < most and agrees(word):
        word += 1
        end = word if place(word) >= 0 else end
    return end - begin, words.as_written(place(begin), place(end) - 1)
