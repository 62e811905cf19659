"""The words of many texts at once, as places in one buffer.

A word is a run of letters and digits, in small letters, without accents (`letters.py`); whatever
else stands between words (punctuation, white space, LaTeX's signs) is gone. Everything here works
on whole arrays of bytes: some 6 ns a byte of English, where Python takes 200.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cord.decontamination.letters import spell

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

CHUNK_BYTES = 1 << 20
"""Texts are read in pieces of about this size: the arrays made of one stay in the cache."""

_PADDING = 8
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of some texts, in order."""

    spelled: Bytes
    """The texts behind one another as they are compared, padded with zeros."""
    starts: Places
    """Where each word begins in `spelled`."""
    ends: Places
    """Where it ends; the byte there is not its own."""
    firsts: Places
    """Of each text, which word is its first; one more at the end."""
    raw: Bytes
    """The texts as they stand."""
    moves: Moves

    def hashes(self) -> Hashes:
        """64 bits of each word: equal words have equal ones. Of a word of more than 16 bytes the
        first and the last eight and the length count, so unequal words may be equal here."""
        eights: Hashes = np.ndarray(len(self.spelled) - 7, "<u8", self.spelled, strides=(1,))
        sizes = self.ends - self.starts
        masks = _MASKS[np.minimum(sizes, 8)]
        hashes: Hashes = (eights[self.starts] & masks) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
        tails = eights[np.where(sizes > 8, self.ends - 8, self.starts)] & masks
        hashes += tails * np.uint64(0xC2B2AE3D27D4EB4F)
        hashes += sizes.astype(np.uint64) * np.uint64(0xD6E8FEB86659FD93)
        hashes ^= hashes >> np.uint64(32)
        hashes *= np.uint64(0xFF51AFD7ED558CCD)
        hashes ^= hashes >> np.uint64(29)
        return hashes

    def texts_of(self, words: Places) -> Places:
        """Which text each of these words belongs to."""
        return np.searchsorted(self.firsts, words, side="right") - 1

    def spelling(self, first: int, last: int) -> list[bytes]:
        """The words from `first` on, without `last`."""
        begins, ends = self.starts[first:last].tolist(), self.ends[first:last].tolist()
        if not begins:
            return []
        start = begins[0]
        spelled = self.spelled[start : ends[-1]].tobytes()
        return [
            spelled[begin - start : end - start] for begin, end in zip(begins, ends, strict=True)
        ]

    def as_written(self, first: int, last: int) -> str:
        """The text from the word `first` to the word `last` as it stands in the original."""
        begin = self.moves.original(int(self.starts[first]))
        end = self.moves.original(int(self.ends[last]) - 1) + 1
        while begin > 0 and self.raw[begin] & 0xC0 == 0x80:  # inside a character
            begin -= 1
        while end < len(self.raw) and self.raw[end] & 0xC0 == 0x80:
            end += 1
        return self.raw[begin:end].tobytes().decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Moves:
    """Characters whose spelling is longer or shorter than they are: what follows them moves."""

    at: Places
    sizes: Places
    spelled_at: Places
    spelled_sizes: Places

    def original(self, place: int) -> int:
        """Where a byte of the spelled text stands in the original."""
        last = int(np.searchsorted(self.spelled_at, place, side="right")) - 1
        if last < 0:
            return place
        behind = place - int(self.spelled_at[last]) - int(self.spelled_sizes[last])
        return int(self.at[last]) + (int(self.sizes[last]) + behind if behind >= 0 else 0)


_NOWHERE = np.empty(0, np.int64)
_NO_MOVES = Moves(_NOWHERE, _NOWHERE, _NOWHERE, _NOWHERE)


def read_words(texts: pa.Array[Any]) -> Iterator[tuple[int, Words]]:
    """(number of the first text, its words and those of the next ones), about `CHUNK_BYTES` of
    text at a time. A null is a text without words."""
    plain: pa.Array[Any] = texts.cast(pa.large_string())
    if plain.null_count:
        plain = plain.fill_null("")
    _, bounds, content = plain.buffers()
    if not len(plain) or bounds is None:
        return
    offsets = np.frombuffer(memoryview(bounds), np.int64)[plain.offset :][: len(plain) + 1]
    data = np.frombuffer(memoryview(content or b""), np.uint8)
    first = 0
    while first < len(plain):
        full = int(np.searchsorted(offsets, offsets[first] + CHUNK_BYTES, side="right")) - 1
        last = min(max(full, first + 1), len(plain))
        begin, end = int(offsets[first]), int(offsets[last])
        yield first, _words(data[begin:end], offsets[first : last + 1] - begin)
        first = last


def _words(raw: Bytes, offsets: Places) -> Words:
    data, moves, breaks = raw, _NO_MOVES, _NOWHERE
    if len(raw) and raw.max() >= 0x80:
        data, moves, breaks, offsets = _spell_out(raw, offsets)
    size = len(data)
    spelled = np.zeros(size + _PADDING, np.uint8)
    small = data | 0x20
    letters = (small - 97) < 26
    np.bitwise_or(data, letters.view(np.uint8) << 5, out=spelled[:size])
    # What is not ASCII any more is a letter or a digit: separators were overwritten.
    inside = letters | ((data - 48) < 10) | (data >= 0x80)
    broken = np.zeros(size + 1, np.bool_)
    broken[offsets] = True
    broken[breaks] = True
    starts = inside & broken[:-1]
    starts[1:] |= inside[1:] & ~inside[:-1]
    ends = inside & broken[1:]
    ends[:-1] |= inside[:-1] & ~inside[1:]
    begin = np.flatnonzero(starts)
    return Words(
        spelled, begin, np.flatnonzero(ends) + 1, np.searchsorted(begin, offsets), raw, moves
    )


def _spell_out(raw: Bytes, offsets: Places) -> tuple[Bytes, Moves, Places, Places]:
    """(the texts with every character beyond ASCII spelled, what moved, where words break, the
    new offsets)."""
    data = raw.copy()
    at = np.flatnonzero(raw >= 0xC0)
    codes, sizes = _decode(raw, at)
    seen = np.zeros(0x110000, np.bool_)
    seen[codes] = True
    kinds = np.flatnonzero(seen)
    numbers = np.empty(0x110000, np.int32)
    numbers[kinds] = np.arange(len(kinds))
    which = numbers[codes]
    spellings = [spell(int(code)) for code in kinds]
    encoded = [spelling.text.encode() for spelling in spellings]
    alone = np.array([spelling.alone for spelling in spellings])[which]
    lengths = np.array([len(one) for one in encoded])[which]
    separates = np.array([one == b" " for one in encoded])[which]
    stays = separates | (lengths == sizes)
    # What stays in its place is as long as it was; a separator fills it with spaces.
    four = b"".join(one[:4].ljust(4) for one in encoded)
    pieces = np.frombuffer(four, np.uint8).reshape(-1, 4)
    for place in range(4):
        chosen = stays & (sizes > place)
        data[at[chosen] + place] = pieces[which[chosen], place]
    breaks = np.concatenate([at[alone], at[alone] + sizes[alone]])
    if stays.all():
        return data, _NO_MOVES, breaks, offsets
    moved = ~stays
    at, sizes, lengths = at[moved], sizes[moved], lengths[moved]
    total = np.cumsum(lengths - sizes)
    moves = Moves(at, sizes, at + total - (lengths - sizes), lengths)
    joined = _replace(data, moves, [encoded[kind] for kind in which[moved]])
    shifts = np.concatenate([[0], total])
    breaks = breaks + shifts[np.searchsorted(at, breaks)]
    return joined, moves, breaks, offsets + shifts[np.searchsorted(at, offsets)]


def _decode(raw: Bytes, at: Places) -> tuple[Places, Places]:
    """(code points, sizes in bytes) of the characters that begin at these places."""
    lead = raw[at].astype(np.int64)
    sizes = 2 + (lead >= 0xE0).astype(np.int64) + (lead >= 0xF0)
    codes = lead & np.array([0, 0, 0x1F, 0x0F, 0x07])[sizes]
    for place in (1, 2, 3):
        more = sizes > place
        codes[more] = codes[more] << 6 | raw[at[more] + place] & 0x3F
    return codes, sizes


def _replace(data: Bytes, moves: Moves, spelled: list[bytes]) -> Bytes:
    whole = data.tobytes()
    pieces: list[bytes] = []
    last = 0
    for at, size, new in zip(moves.at.tolist(), moves.sizes.tolist(), spelled, strict=True):
        pieces += (whole[last:at], new)
        last = at + size
    return np.frombuffer(b"".join((*pieces, whole[last:])), np.uint8)
