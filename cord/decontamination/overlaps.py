"""Which records share words in a row with an evaluation set.

Hashes only propose: what they find is compared word by word before it counts, so that no record is
dropped for a collision. An item with fewer words than asked for counts where all of it stands in a
record, if it has eight words; a shorter one only where a record's question is nothing else.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from cord.decontamination.items import LEAST_WORDS, Items
from cord.decontamination.ngrams import hash_rows
from cord.decontamination.sets import EvaluationSets
from cord.decontamination.words import Places, Words, read_words

Where = Literal["question", "response"]

_TYPES: Final[dict[str, pa.DataType]] = {
    "problem_id": pa.string(),
    "rank": pa.int32(),
    "where": pa.string(),  # question or response
    "set": pa.string(),
    "item": pa.string(),  # its id in the set, else its number from 1
    "words": pa.int32(),  # so many in a row
    "matched": pa.string(),  # as it stands in the record, the first 500 characters
}
OVERLAPS: Final = pa.schema(_TYPES)

MATCHED_CHARACTERS = 500
_COLUMNS: Final[dict[Where, str]] = {"question": "question", "response": "text"}
_PLACES_COMPARED = 32
"""Of a row that more items of a set have (a phrase of its task, say) only so many are compared."""


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
    if not sets.sets:
        return OVERLAPS.empty_table()
    items = Items(sets, words)
    found = [OVERLAPS.empty_table()]
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for batch in rows:
            waiting.append(pool.submit(_search, batch, items, words, within))
            if len(waiting) > workers:
                found.append(waiting.popleft().result())
        found += [one.result() for one in waiting]
    every = pa.concat_tables(found).combine_chunks()
    return every.sort_by([(name, "ascending") for name in OVERLAPS.names])


def _search(batch: pa.RecordBatch, items: Items, length: int, within: Sequence[Where]) -> pa.Table:
    found = []
    for where in within:
        hits = list(_hits(batch.column(_COLUMNS[where]), items, length, where == "question"))
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


def _hits(texts: pa.Array[Any], items: Items, length: int, whole: bool) -> Iterator[_Hit]:
    """The hits of a column; with `whole` also texts that are nothing but a short item."""
    for first, some in read_words(texts):
        longest: dict[tuple[int, int], tuple[int, int, int]] = {}
        for text, item, begin, end in _overlaps(some, items, length, whole):
            key = (text, items.set_of[item])
            # The longest, of these the first item, of these the first place.
            best = (begin - end, item, begin)
            longest[key] = min(best, longest.get(key, best))
        for (text, set_), (size, item, begin) in longest.items():
            matched = some.as_written(begin, begin - size - 1)
            yield _Hit(first + text, set_, item, -size, matched)


def _overlaps(
    some: Words, items: Items, length: int, whole: bool
) -> Iterator[tuple[int, int, int, int]]:
    """(text, item, first word, word behind the last) of every overlap."""
    hashes = some.hashes()
    if len(items.full):
        yield from _long(some, items, length, *items.full.find(hash_rows(hashes, length)))
    if len(items.short):
        yield from _short(some, items, *items.short.find(hash_rows(hashes, LEAST_WORDS)))
    if whole and items.whole:
        sizes = np.diff(some.firsts)
        for text in np.flatnonzero((sizes > 0) & (sizes < LEAST_WORDS)).tolist():
            first, last = int(some.firsts[text]), int(some.firsts[text + 1])
            for item in items.whole.get(b" ".join(some.spelling(first, last)), ()):
                yield text, item, first, last


def _long(
    some: Words, items: Items, length: int, begins: Places, rows: Places
) -> Iterator[tuple[int, int, int, int]]:
    """Overlaps around rows of the full length."""
    only = items.full.only_places(rows)
    for text, own in _by_text(some, begins):
        first, last = int(some.firsts[text]), int(some.firsts[text + 1])
        done: dict[int, int] = {}
        seen: set[int] = set()
        found = zip(begins[own].tolist(), rows[own].tolist(), only[own].tolist(), strict=True)
        for begin, row, place in found:
            if begin + length > last or row in seen:
                continue
            seen.add(row)  # a row that a text repeats is followed once
            if place >= 0 and done.get(begin - place, -1) >= begin:
                continue  # most rows of an overlap lie in the one just followed
            for place, item, least, most in _places(items, row):
                if done.get(begin - place, -1) >= begin:
                    continue
                # So much of the text lies beside the item.
                left = max(first, begin - (place - least))
                right = min(last, begin + (most - place))
                beside = items.words[place - (begin - left) : place + (right - begin)]
                left, right = _agree(some.spelling(left, right), beside, begin - left, left)
                if right - left >= length:
                    done[begin - place] = right - length
                    yield text, item, left, right


def _places(items: Items, row: int) -> Iterator[tuple[int, int, int, int]]:
    """(place, item, the item's first word, the word behind its last) of a row, of each set only
    the first ones."""
    compared: Counter[int] = Counter()
    for place in items.full.places(row):
        item, least, most = items.find(place)
        compared[items.set_of[item]] += 1
        if compared[items.set_of[item]] <= _PLACES_COMPARED:
            yield place, item, least, most


def _short(
    some: Words, items: Items, begins: Places, rows: Places
) -> Iterator[tuple[int, int, int, int]]:
    """Items that are shorter than the full length, found by their beginning."""
    for text, own in _by_text(some, begins):
        last = int(some.firsts[text + 1])
        for begin, row in zip(begins[own].tolist(), rows[own].tolist(), strict=True):
            for place in items.short.places(row):
                item, least, most = items.find(place)
                end = begin + most - least
                if end <= last and some.spelling(begin, end) == items.words[least:most]:
                    yield text, item, begin, end


def _by_text(some: Words, begins: Places) -> Iterator[tuple[int, slice]]:
    """(a text, which of the places, all ascending, lie in it)."""
    texts, firsts = np.unique(some.texts_of(begins), return_index=True)
    lasts = [*firsts.tolist()[1:], len(begins)]
    for text, first, last in zip(texts.tolist(), firsts.tolist(), lasts, strict=False):
        yield text, slice(first, last)


def _agree(words: list[bytes], others: list[bytes], around: int, shift: int) -> tuple[int, int]:
    """As far as two rows agree around a word: (first word, word behind the last), both shifted."""
    first = last = around
    while first > 0 and words[first - 1] == others[first - 1]:
        first -= 1
    while last < len(words) and words[last] == others[last]:
        last += 1
    return first + shift, last + shift
