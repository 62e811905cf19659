"""Texts in pieces of bounded size, and the bytes they lie in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

Column: TypeAlias = Any
"""An Arrow array: the type stubs know too little of what Arrow computes with them."""
pc: Any = pyarrow.compute
Numbers = NDArray[np.float64]
Offsets = NDArray[np.int64]

SLICE_BYTES = 1 << 16
"""Of text at a time: what is computed byte by byte then stays in the processor's own memory."""


def large_texts(texts: Column) -> Column:
    """Any array of strings, in the one layout that `raw` reads; without copying where it can."""
    return pc.cast(texts, pa.large_string())


def raw(texts: Column) -> tuple[NDArray[np.uint8], Offsets]:
    """The bytes of the texts in a row, and where each begins (one offset more than texts).

    A null has no bytes of its own."""
    _, places, content = texts.buffers()
    offsets = np.frombuffer(places, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(content, np.uint8) if content is not None else np.empty(0, np.uint8)
    return data[offsets[0] : offsets[-1]], offsets - offsets[0]


def slices(texts: Column, size: int = SLICE_BYTES) -> Iterator[Column]:
    """The texts in order, in pieces of about `size` bytes; one longer text is a piece."""
    _, offsets = raw(texts) if len(texts) else (None, np.zeros(1, np.int64))
    start = 0
    while start < len(texts):
        end = int(np.searchsorted(offsets, offsets[start] + size, "right")) - 1
        end = max(end, start + 1)
        yield texts.slice(start, end - start)
        start = end


def numbers(values: Column) -> Numbers:
    """Any numeric or boolean array as float64, NaN where null."""
    found: Numbers = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    return found
