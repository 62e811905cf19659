"""Hashes of words in a row, and which of them evaluation items have."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cord.decontamination.words import Hashes, Places

_BASE = 0x9DDFEA08EB382D69
_MARKS_FOR_EACH = 32
"""Places in the bitmap for each n-gram: so few of other texts' n-grams are looked up in vain."""
_LARGEST_BITMAP = 27


def hash_rows(words: Hashes, length: int) -> Hashes:
    """The hash of `length` words in a row, from each word on: a polynomial modulo 2^64, put
    together from rows of half the length."""
    if len(words) < length:
        return np.empty(0, np.uint64)
    rows, size = words, 1
    for bit in f"{length:b}"[1:]:
        rows = rows[:-size] * np.uint64(pow(_BASE, size, 1 << 64)) + rows[size:]
        size *= 2
        if bit == "1":
            rows = rows[:-1] * np.uint64(_BASE) + words[size:]
            size += 1
    return rows


class Rows:
    """Rows of words of evaluation items, found by their hash."""

    def __init__(self, hashes: Hashes, places: Places) -> None:
        """`places` tells where each row begins, ascending."""
        order = np.argsort(hashes, kind="stable")
        self._hashes, firsts = np.unique(hashes[order], return_index=True)
        self._places = places[order]
        self._firsts = np.append(firsts, len(order))
        wanted = max(len(self._hashes) * _MARKS_FOR_EACH, 1 << 16)
        bits = min((wanted - 1).bit_length(), _LARGEST_BITMAP)
        self._shift = np.uint64(64 - bits)
        self._marks: npt.NDArray[np.bool_] = np.zeros(1 << bits, np.bool_)
        self._marks[self._hashes >> self._shift] = True

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, hashes: Hashes) -> tuple[Places, Places]:
        """(which of these hashes some item has, the number of its row)."""
        marked = np.flatnonzero(self._marks[hashes >> self._shift])
        rows = np.searchsorted(self._hashes, hashes[marked])
        rows[rows == len(self._hashes)] = 0
        found = self._hashes[rows] == hashes[marked] if len(self) else np.zeros(0, np.bool_)
        return marked[found], rows[found]

    def places(self, row: int) -> list[int]:
        """Where the items have this row, ascending."""
        places: list[int] = self._places[self._firsts[row] : self._firsts[row + 1]].tolist()
        return places

    def only_places(self, rows: Places) -> Places:
        """The place of each of these rows that stands in one place; -1 of the others."""
        firsts = self._firsts[rows]
        return np.where(self._firsts[rows + 1] == firsts + 1, self._places[firsts], -1)
