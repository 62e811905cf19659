"""Evaluation items, as they are looked for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from cord.decontamination.ngrams import Rows, hash_rows
from cord.decontamination.sets import EvaluationSets
from cord.decontamination.words import Hashes, Places, read_words

LEAST_WORDS = 8
"""Items of fewer words are phrases that many texts have: only a question that says no more than
one of them is the same."""

_INNER_MARK = re.compile(r"(?<=\w)[^\w\s]+(?=\w)")
_MARK = re.compile(r"[^\w\s]|_")


class Items:
    """The items of all sets behind one another: some 100 bytes of memory for each word.

    An item is read in two ways: its marks separate words (`80,000` is two), or are not there
    (`80000`), as in texts whose punctuation was taken out."""

    def __init__(self, sets: EvaluationSets, length: int) -> None:
        """`length` words in a row are looked for."""
        self.names = [one.name for one in sets.sets]
        self.ids = [id_ for one in sets.sets for id_ in one.ids]
        self.set_of = [place for place, one in enumerate(sets.sets) for _ in one.texts]
        texts = [text for one in sets.sets for text in one.texts]
        readings = [(item, way) for item, text in enumerate(texts) for way in _readings(text)]
        self._items = [item for item, _ in readings]
        self.words: list[bytes] = []
        firsts: list[Places] = []
        hashes: list[Hashes] = [np.empty(0, np.uint64)]
        for _, some in read_words(pa.array([text for _, text in readings], pa.large_string())):
            firsts.append(some.firsts[:-1] + len(self.words))
            self.words += some.spelling(0, len(some.starts))
            hashes.append(some.hashes())
        self._firsts = np.concatenate([*firsts, [len(self.words)]]).astype(np.int64)
        flat = np.concatenate(hashes)
        sizes = np.diff(self._firsts)
        own = np.repeat(np.arange(len(sizes)), sizes)
        rows = hash_rows(flat, length)
        inside = np.flatnonzero(own[: len(rows)] == own[length - 1 : length - 1 + len(rows)])
        self.full = Rows(rows[inside], inside)
        """Every row of the full length."""
        short = self._firsts[:-1][(sizes >= LEAST_WORDS) & (sizes < length)]
        self.short = Rows(hash_rows(flat, LEAST_WORDS)[short], short)
        """The beginnings of items that have no such row."""
        self.whole: defaultdict[bytes, list[int]] = defaultdict(list)
        """Items of still fewer words, all of it."""
        for reading in np.flatnonzero((sizes > 0) & (sizes < LEAST_WORDS)).tolist():
            first, last = int(self._firsts[reading]), int(self._firsts[reading + 1])
            self.whole[b" ".join(self.words[first:last])].append(self._items[reading])

    def find(self, word: int) -> tuple[int, int, int]:
        """(item, its first word, the word behind its last) around a word."""
        reading = int(np.searchsorted(self._firsts, word, side="right")) - 1
        return self._items[reading], int(self._firsts[reading]), int(self._firsts[reading + 1])


def _readings(text: str) -> Iterator[str]:
    yield text
    if _INNER_MARK.search(text):
        yield _MARK.sub("", text)
