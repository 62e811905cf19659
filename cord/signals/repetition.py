"""How much a text says again, word for word: the share of its runs of ten words that stood before.

Thinking that has fallen into a loop is near 1, whatever the loop's length; a sound one that takes
its problem up again now and then stays below a few percent. White space does not count, and each
Chinese, Japanese or Korean character is a word.

It is the measure of Gopher's filters (duplicate 10-grams; Rae et al. 2021, table A1), of n-grams
rather than of characters. Computed on bytes with NumPy, since a pass in Python over a million texts
would take an hour: words are hashed eight bytes at a time, ten words by a difference of prefix sums
(Karp and Rabin 1987), and equal runs are found by sorting. Two runs of one text that differ are
taken for the same with a chance of about 2**-44.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from cord.signals.slices import Column, Numbers, Offsets, large_texts, raw, slices

WORDS = 10
"""Length of a run."""

_Hashes = NDArray[np.uint64]
_SPACE = 0x20
"""It, and every byte below it, parts words."""
_FIRST_CHARACTER, _LAST_CHARACTER = 0xE3, 0xED
"""First bytes of U+3000 to U+DFFF, where each character is a word."""
_HASH_BITS = np.uint64(44)
_MIX, _BASE = np.uint64(0x9E3779B97F4A7C15), 0xD6E8FEB86659FD93  # odd: they have an inverse
_MOST_TEXTS = 1 << 20  # of one piece: what 64 bits leave for a text's number


def repetition(texts: Column) -> Numbers:
    """The share for each text, 0 to 1; NaN where it is null or has fewer than ten words."""
    pieces = [
        _of_piece(piece.slice(start, _MOST_TEXTS))
        for piece in slices(large_texts(texts))
        for start in range(0, len(piece), _MOST_TEXTS)
    ]
    return np.concatenate(pieces) if pieces else np.empty(0)


def _of_piece(texts: Column) -> Numbers:
    share = np.full(len(texts), np.nan)
    data, offsets = raw(texts)
    starts, ends = _words(data, offsets)
    if len(starts) < WORDS:
        return share
    owner = np.repeat(np.arange(len(texts)), np.diff(np.searchsorted(starts, offsets)))
    runs = _runs(_hashes(data, starts, ends))
    within = owner[: len(runs)] == owner[WORDS - 1 :]
    owner, runs = owner[: len(runs)][within], runs[within]
    keys = (owner.astype(np.uint64) << _HASH_BITS) | (runs >> (np.uint64(64) - _HASH_BITS))
    keys.sort()
    again = (keys[1:][keys[1:] == keys[:-1]] >> _HASH_BITS).astype(np.int64)
    total = np.bincount(owner, minlength=len(texts))
    repeated = np.bincount(again, minlength=len(texts))
    np.divide(repeated, total, out=share, where=total > 0)
    return share


def _words(data: NDArray[np.uint8], offsets: Offsets) -> tuple[Offsets, Offsets]:
    """Where each word begins, and where it ends."""
    letter = data > _SPACE
    begins = letter.copy()
    begins[1:] &= ~letter[:-1]
    begins |= (data >= _FIRST_CHARACTER) & (data <= _LAST_CHARACTER)
    first = offsets[:-1]
    first = first[first < len(data)]
    begins[first] = letter[first]  # texts lie next to each other
    ends = np.zeros(len(data) + 1, dtype=bool)
    ends[1:-1] = letter[:-1] & (~letter[1:] | begins[1:])
    ends[-1] = len(data) > 0 and letter[-1]
    return np.flatnonzero(begins), np.flatnonzero(ends)


def _hashes(data: NDArray[np.uint8], starts: Offsets, ends: Offsets) -> _Hashes:
    """A hash of each word, from all of its bytes."""
    eights = np.ndarray(len(data), "<u8", np.concatenate([data, np.zeros(8, np.uint8)]), 0, (1,))
    lengths = ends - starts
    hashes = (eights[starts] & _masks()[np.minimum(lengths, 8)]) * _MIX
    (longer,) = np.nonzero(lengths > 8)
    place = 8
    while longer.size:
        bytes_ = eights[starts[longer] + place] & _masks()[np.minimum(lengths[longer] - place, 8)]
        known = hashes[longer]
        hashes[longer] = ((known ^ (known >> np.uint64(29))) + bytes_) * _MIX
        place += 8
        longer = longer[lengths[longer] > place]
    mixed: _Hashes = hashes ^ (hashes >> np.uint64(32))
    return mixed


def _runs(hashes: _Hashes) -> _Hashes:
    """A hash of each `WORDS` in a row, the same wherever they stand."""
    powers, inverses = _powers(1 << len(hashes).bit_length())
    sums = np.zeros(len(hashes) + 1, dtype=np.uint64)
    np.cumsum(hashes * powers[: len(hashes)], out=sums[1:])
    runs: _Hashes = (sums[WORDS:] - sums[:-WORDS]) * inverses[: len(hashes) - WORDS + 1]
    return runs


@cache
def _powers(length: int) -> tuple[_Hashes, _Hashes]:
    """The base to the power of 0 to length - 1 modulo 2**64, and the inverse of each."""
    found = []
    for base in (_BASE, pow(_BASE, -1, 1 << 64)):
        factors = np.full(length, base, dtype=np.uint64)
        factors[0] = 1
        found.append(np.cumprod(factors))
    return found[0], found[1]


@cache
def _masks() -> _Hashes:
    """What keeps the first n of eight bytes, for n from 0 to 8."""
    return np.array([(1 << 8 * n) - 1 for n in range(9)], dtype=np.uint64)
