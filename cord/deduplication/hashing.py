"""Texts as numbers that are the same on every machine and in every run.

128 bits name a text, 64 a signature, a word or a word triple: among a hundred million triples two
different ones share a number with a chance of 3 in 10,000, and a pair's Jaccard index would be off
by one triple.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Hashes: TypeAlias = NDArray[np.uint64]
Ends: TypeAlias = NDArray[np.int64]

_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_SHIFT = np.uint64(29)


def digest(parts: Sequence[str], size: int) -> bytes:
    """`size` bytes that name a sequence of words."""
    return blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=size).digest()


class WordHashes(dict[str, int]):
    """The number of each word asked for; words come again, so it remembers them."""

    REMEMBERED = 500_000

    def __missing__(self, word: str) -> int:
        if len(self) >= self.REMEMBERED:
            self.clear()
        value = self[word] = int.from_bytes(digest((word,), 8), "little")
        return value

    def of(self, words: Iterable[str]) -> Hashes:
        """One number a word, in order."""
        return np.fromiter(map(self.__getitem__, words), np.uint64)


def triples(words: Hashes, ends: Ends) -> tuple[Hashes, Ends]:
    """The word triples of several texts, in order, and where each text's end.

    `words` are the texts' word hashes, one text behind the other, `ends` where each ends. A text of
    fewer than three words has no triples."""
    lengths = np.diff(ends, prepend=0)
    starts = np.ones(len(words), dtype=bool)  # a triple starts at each word but a text's last two
    for last in (1, 2):
        starts[ends[lengths >= last] - last] = False
    pairs = words * _ODD[0] + np.roll(words, -1)
    mixed = (pairs ^ (pairs >> _SHIFT)) * _ODD[1] + np.roll(words, -2)
    return mix(mixed[starts]), np.cumsum(np.maximum(lengths - 2, 0))


def mix(values: Hashes) -> Hashes:
    """Spread every bit over all others; one to one."""
    values = (values ^ (values >> _SHIFT)) * _ODD[0]
    values = (values ^ (values >> _SHIFT)) * _ODD[1]
    return values ^ (values >> _SHIFT)
