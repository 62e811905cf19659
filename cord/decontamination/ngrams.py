"""Words in a row of evaluation items, found in texts by their letters.

What stands between the letters does not count, so `80,000` is `80 000` and `80000`, whichever of
them an item has; only the first and the last letter must be those of a word. A row is found by its
first eight letters, then by its first sixteen, and so on: most words of a text are out of question
at once. At the end all letters are compared, so that what is found is a fact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cord.decontamination.words import Bytes, Hashes, Places, Words, eights

_FACTORS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD))
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], dtype=np.uint64)
_MOST_STEPS = 64
_MARKS_FOR_EACH = 32
"""Places in a bitmap for each beginning: so few of other texts' words are looked up in vain."""
_LARGEST_BITMAP = 27


class Ngrams:
    """Rows of words, in the letters of all items behind one another."""

    def __init__(self, letters: Bytes, places: Places, sizes: Places) -> None:
        """`places` and `sizes` of the rows, in letters (eight or more), which are padded."""
        self._letters, self._places, self._sizes = letters, places, sizes
        self._steps: list[_Step] = []
        steps = np.minimum(sizes // 8, _MOST_STEPS)
        rests = np.minimum(sizes - 8 * steps, 8)
        left = np.arange(len(places))
        hashes = np.zeros(len(left), np.uint64)
        while len(left):
            number = len(self._steps)
            hashes = _add(hashes, eights(letters, places[left] + 8 * number))
            longer = steps[left] > number + 1
            ending = left[~longer]
            tails = eights(letters, places[ending] + 8 * (number + 1))
            self._steps.append(
                _Step.of(ending, hashes[~longer], tails, rests[ending], hashes[longer])
            )
            left, hashes = left[longer], hashes[longer]

    def find(self, words: Words) -> tuple[Places, Places]:
        """(word of a text, number of the row that begins there), of all rows in these texts."""
        at = words.bounds[:-1]
        left = np.arange(len(at))
        hashes = np.zeros(len(left), np.uint64)
        found = [(left[:0], left[:0])]
        for number, step in enumerate(self._steps):
            hashes = _add(hashes, eights(words.letters, at[left] + 8 * number))
            near = left[marked := step.may_end(hashes)]
            tails = eights(words.letters, at[near] + 8 * (number + 1))
            here, rows = step.find(hashes[marked], tails)
            found.append(self._same(words, near[here], rows))
            longer = step.may_go_on(hashes)
            left, hashes = left[longer], hashes[longer]
        return (
            np.concatenate([first for first, _ in found]),
            np.concatenate([row for _, row in found]),
        )

    def _same(self, words: Words, first: Places, rows: Places) -> tuple[Places, Places]:
        """Those of the pairs whose letters are the same, to the end of a word of one text."""
        stop = words.bounds[first] + self._sizes[rows]
        inside = stop <= words.bounds[words.firsts[words.texts_of(first) + 1]]
        first, rows, stop = first[inside], rows[inside], stop[inside]
        ends = words.bounds[np.searchsorted(words.bounds, stop)] == stop
        first, rows = first[ends], rows[ends]
        done = 0
        while (self._sizes[rows] > done).any():
            masks = _MASKS[np.clip(self._sizes[rows] - done, 0, 8)]
            ours = eights(words.letters, words.bounds[first] + done) & masks
            same = ours == eights(self._letters, self._places[rows] + done) & masks
            first, rows = first[same], rows[same]
            done += 8
        return first, rows


@dataclass(frozen=True, slots=True)
class _Step:
    """Rows of so many times eight letters and up to seven more, and the beginnings of others."""

    ends: npt.NDArray[np.bool_]
    goes_on: npt.NDArray[np.bool_]
    """Bitmaps by the first bits of the hash of these eights."""
    rests: tuple[tuple[int, _Table], ...]
    """Rows by how many letters they have behind their eights, by the hash of all letters."""

    @classmethod
    def of(
        cls, rows: Places, hashes: Hashes, tails: Hashes, rests: Places, longer: Hashes
    ) -> _Step:
        tables = []
        for rest in np.unique(rests).tolist():
            own = rests == rest
            tables.append(
                (rest, _Table.of(_add(hashes[own], tails[own] & _MASKS[rest]), rows[own]))
            )
        return cls(_bitmap(hashes), _bitmap(longer), tuple(tables))

    def may_end(self, hashes: Hashes) -> Places:
        """Which of these hashes may be a row's but for its last letters."""
        return np.flatnonzero(_marked(self.ends, hashes))

    def may_go_on(self, hashes: Hashes) -> Places:
        """Which of these hashes may be the beginning of a longer row."""
        return np.flatnonzero(_marked(self.goes_on, hashes))

    def find(self, hashes: Hashes, tails: Hashes) -> tuple[Places, Places]:
        """(which of these hashes and of the eight letters behind, which row) of all pairs."""
        found = [table.find(_add(hashes, tails & _MASKS[rest])) for rest, table in self.rests]
        here = [place for place, _ in found]
        rows = [row for _, row in found]
        none = np.empty(0, np.int64)
        return np.concatenate([none, *here]), np.concatenate([none, *rows])


@dataclass(frozen=True, slots=True)
class _Table:
    """Numbers of rows by hash."""

    hashes: Hashes
    """Each once, ascending."""
    firsts: Places
    rows: Places
    """Those of hash i: from firsts[i] to firsts[i + 1]."""

    @classmethod
    def of(cls, hashes: Hashes, rows: Places) -> _Table:
        order = np.argsort(hashes, kind="stable")
        unique, firsts = np.unique(hashes[order], return_index=True)
        return cls(unique, np.append(firsts, len(rows)), rows[order])

    def find(self, hashes: Hashes) -> tuple[Places, Places]:
        """(which of these hashes, which row) of all pairs that have one hash."""
        at = np.searchsorted(self.hashes, hashes)
        at[at == len(self.hashes)] = 0
        equal = np.flatnonzero(self.hashes[at] == hashes)
        at = at[equal]
        counts = self.firsts[at + 1] - self.firsts[at]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(equal, counts), self.rows[np.repeat(self.firsts[at], counts) + within]


def _add(hashes: Hashes, letters: Hashes) -> Hashes:
    """The hashes with eight letters more."""
    mixed = (hashes ^ letters) * _FACTORS[0]
    mixed ^= mixed >> np.uint64(32)
    mixed *= _FACTORS[1]
    mixed ^= mixed >> np.uint64(29)
    return mixed


def _bitmap(hashes: Hashes) -> npt.NDArray[np.bool_]:
    hashes = np.unique(hashes)
    bits = min(max((len(hashes) * _MARKS_FOR_EACH - 1).bit_length(), 8), _LARGEST_BITMAP)
    marks = np.zeros(1 << bits, np.bool_)
    marks[hashes >> np.uint64(64 - bits)] = True
    return marks


def _marked(marks: npt.NDArray[np.bool_], hashes: Hashes) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = marks[hashes >> np.uint64(65 - len(marks).bit_length())]
    return found
