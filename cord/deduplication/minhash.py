"""Near-duplicates among texts of one signature: MinHash-LSH proposes, the exact Jaccard decides.

`rensa` makes the MinHash digests. Its LSH index holds every band of every text in a hash map,
several gigabytes for a million texts; so bands are NumPy columns here: a sort finds the few texts
that share one, and only these are walked through.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from cord.deduplication.hashing import Ends, Hashes, WordHashes, mix, triples
from cord.deduplication.normal_form import Tokens

PERMUTATIONS = 128
MISS_AT_THRESHOLD = 1e-4
"""Largest chance that LSH misses a pair that lies right at the threshold."""
REACH = 64
"""A text is compared with at most so many that stay: those it shares most bands with. So texts that
are all alike without being near-duplicates cost linear time."""

_CHUNK = 2048


@dataclass(frozen=True, slots=True)
class Near:
    """Text `number` goes, since `of` stays and their word triples have this Jaccard index."""

    number: int
    of: int
    similarity: float


class Sketches:
    """MinHash bands and word triples of texts that may be near-duplicates.

    Bands are in memory (256 bytes a text at a threshold of 0.8), triples in a temporary file (8
    bytes a word)."""

    def __init__(self, near: float, texts: int) -> None:
        """`near`: the least Jaccard index of two near-duplicates, in (0, 1]; `texts`: how many will
        be added at most."""
        self._near = near
        self._words = WordHashes()
        self._count = 0
        self._bands: Hashes = np.empty((texts, band_count(near)), np.uint64)
        self._numbers: NDArray[np.int64] = np.empty(texts, np.int64)
        self._groups: Hashes = np.empty(texts, np.uint64)
        self._ends: Ends = np.zeros(texts + 1, np.int64)
        self._file = tempfile.TemporaryFile(prefix="cord-triples-")  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, numbers: NDArray[np.int64], groups: Hashes, texts: Sequence[Tokens]) -> None:
        """Take in texts of three words or more, each with its number and its signature.

        Of two near-duplicates the one with the smaller number stays."""
        for begin in range(0, len(texts), _CHUNK):
            some = texts[begin : begin + _CHUNK]
            ends = np.cumsum([len(words) for words in some])
            hashes, ends = triples(self._words.of(chain.from_iterable(some)), ends)
            chunk = slice(begin, begin + _CHUNK)
            added = slice(self._count, self._count + len(some))
            self._bands[added] = self._banded(hashes, ends, groups[chunk])
            self._numbers[added] = numbers[chunk]
            self._groups[added] = groups[chunk]
            self._ends[1:][added] = ends + self._ends[self._count]
            self._count += len(some)
            self._file.write(hashes.tobytes())

    def _banded(self, hashes: Hashes, ends: Ends, groups: Hashes) -> Hashes:
        """One number a text and band; texts of different signatures share none."""
        offsets = np.concatenate([np.zeros(1, np.uint64), ends.astype(np.uint64)])
        rows = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, PERMUTATIONS, 0)
        count = self._bands.shape[1]
        digests = np.array(rows.to_rows(), np.uint64).reshape(len(ends), count, -1)
        bands = mix(np.add.outer(groups, np.arange(count, dtype=np.uint64)))
        for column in range(digests.shape[2]):
            bands = mix(bands ^ digests[:, :, column])
        return bands

    def near_duplicates(self, settled: int = 0) -> Iterator[Near]:
        """The texts that go.

        Walks from the best (smallest number) to the worst; what is near to one that stays, goes,
        and belongs to the nearest such one. Texts numbered below `settled` stay in any case."""
        self._file.flush()
        shared = _shared(self._bands[: self._count])
        places = np.flatnonzero(shared.any(axis=1))
        for members in _groups(places, self._groups, self._numbers):
            yield from self._walk(members, shared, settled)

    def _walk(
        self, members: NDArray[np.int64], shared: NDArray[np.bool_], settled: int
    ) -> Iterator[Near]:
        """The same, within a group whose members are given best first."""

        places, numbers = members.tolist(), self._numbers[members].tolist()

        @lru_cache(maxsize=2 * REACH)
        def triples_of(rank: int) -> frozenset[int]:
            begin, end = self._ends[places[rank] : places[rank] + 2].tolist()
            data = os.pread(self._file.fileno(), 8 * (end - begin), 8 * begin)
            return frozenset(array("Q", data))

        stay: defaultdict[int, list[int]] = defaultdict(list)
        for rank, (place, number) in enumerate(zip(places, numbers, strict=True)):
            bands = self._bands[place, shared[place]].tolist()
            if number >= settled:
                alike = Counter(chain.from_iterable(stay[band] for band in bands if band in stay))
                most = alike if len(alike) <= REACH else dict(alike.most_common(REACH))
                own = triples_of(rank)
                similarity, other = max(
                    ((jaccard(own, triples_of(other)), -other) for other in most),
                    default=(0.0, 0),
                )
                if similarity >= self._near:
                    yield Near(number, numbers[-other], similarity)
                    continue
            for band in bands:
                if len(stay[band]) < REACH:
                    stay[band].append(rank)


def band_count(near: float) -> int:
    """The fewest bands of which a pair at the threshold still shares one, almost surely."""
    for bands in (16, 32, 64, 128):
        if (1 - near ** (PERMUTATIONS // bands)) ** bands <= MISS_AT_THRESHOLD:
            return bands
    return PERMUTATIONS


def jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    """The share of the elements of either that both have."""
    common = len(one & other)
    return common / (len(one) + len(other) - common)


def _shared(bands: Hashes) -> NDArray[np.bool_]:
    """Where a text's band is that of another text too."""
    shared = np.zeros(bands.shape, dtype=bool)
    for column in range(bands.shape[1]):
        values = bands[:, column]
        order = np.argsort(values)
        same = values[order[1:]] == values[order[:-1]]
        shared[order[1:][same], column] = True
        shared[order[:-1][same], column] = True
    return shared


def _groups(
    places: NDArray[np.int64], groups: Hashes, numbers: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """The places of each signature, the smallest number first."""
    if len(places):
        ordered = places[np.lexsort((numbers[places], groups[places]))]
        bounds = np.flatnonzero(np.diff(groups[ordered])) + 1
        yield from np.split(ordered, bounds)
