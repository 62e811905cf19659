"""The words of many texts at once, as places in one buffer.

A word is a run of letters and digits, in small letters, without accents (`letters.py`); whatever
else stands between words (punctuation, white space, LaTeX's signs) is gone. Everything here works
on whole arrays of bytes: some 6 ns a byte of English, where Python takes 200.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class Words:
    """The words of some texts, in order."""

    letters: Bytes
    """All words of all texts with nothing between them, padded with zeros for `eights`."""
    bounds: Places
    """Where each word begins in `letters`; one more at the end."""
    firsts: Places
    """Of each text, which word is its first; one more at the end."""
    starts: Places
    """Where each word begins among the characters as they are spelled."""
    ends: Places
    """Where it ends; the byte there is not its own."""
    raw: Bytes
    """The texts as they stand."""
    moves: Moves

    def texts_of(self, words: Places) -> Places:
        """Which text each of these words belongs to."""
        return np.searchsorted(self.firsts, words, side="right") - 1

    def spelling(self, first: int, last: int) -> bytes:
        """The letters of the words from `first` on, without `last`."""
        return self.letters[self.bounds[first] : self.bounds[last]].tobytes()

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


def words_of(texts: Sequence[str]) -> Words:
    """The words of all texts, which are some."""
    ((_, words),) = read_words(pa.array(texts, pa.large_string()), 1 << 62)
    return words


def read_words(texts: pa.Array[Any], chunk_bytes: int = CHUNK_BYTES) -> Iterator[tuple[int, Words]]:
    """(number of the first text, its words and those of the next ones), about so many bytes of
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
        full = int(np.searchsorted(offsets, offsets[first] + chunk_bytes, side="right")) - 1
        last = min(max(full, first + 1), len(plain))
        begin, end = int(offsets[first]), int(offsets[last])
        yield first, _words(data[begin:end], offsets[first : last + 1] - begin)
        first = last


def _words(raw: Bytes, offsets: Places) -> Words:
    data, moves, breaks = raw, _NO_MOVES, _NOWHERE
    if len(raw) and raw.max() >= 0x80:
        data, moves, breaks, offsets = _spell_out(raw, offsets)
    small = data | 0x20
    letters = (small - 97) < 26
    spelled = data | letters.view(np.uint8) << 5
    # What is not ASCII any more is a letter or a digit: separators were overwritten.
    inside = letters | ((data - 48) < 10) | (data >= 0x80)
    broken = np.zeros(len(data) + 1, np.bool_)
    broken[offsets] = True
    broken[breaks] = True
    begins = inside & broken[:-1]
    begins[1:] |= inside[1:] & ~inside[:-1]
    stops = inside & broken[1:]
    stops[:-1] |= inside[:-1] & ~inside[1:]
    starts, ends = np.flatnonzero(begins), np.flatnonzero(stops) + 1
    return Words(
        letters=np.concatenate([spelled[inside], np.zeros(_PADDING, np.uint8)]),
        bounds=np.concatenate([[0], np.cumsum(ends - starts)]),
        firsts=np.searchsorted(starts, offsets),
        starts=starts,
        ends=ends,
        raw=raw,
        moves=moves,
    )


def eights(letters: Bytes, places: Places) -> Hashes:
    """Of padded letters the eight from each place on, as one number; zeros behind the end."""
    every: Hashes = np.ndarray(len(letters) - 7, "<u8", letters, strides=(1,))
    return every[np.minimum(places, len(every) - 1)]


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
