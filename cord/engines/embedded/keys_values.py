"""Keys and values: what a model remembers of the ids it was fed, and a store of it by prefix.

Beams share prefixes, and each round's prefixes are the last round's with one step more. The store
keeps the keys and values of every prompt and step it has seen, each under the segments in front of
it, so that a round feeds only what is new (here: a fifth of the ids).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

ROOM = 32
"""Columns that keys and values grow by at once."""
STORE_BYTES = 512 * 2**20
"""Of each engine's store, at most. With 200 problems in flight and cord's small models 192 MB was
too little: what was pushed out was read again each round, and a run took a quarter longer."""

Segment = tuple[int, ...]

if TYPE_CHECKING:

    class _Layer:  # transformers' own is untyped where it matters
        keys: Any
        values: Any
        is_initialized: bool

        def __init__(self) -> None: ...
        def get_seq_length(self) -> int: ...
        def lazy_initialization(self, keys: Any, values: Any) -> None: ...
        def batch_select_indices(self, indices: Any) -> None: ...
else:
    _Layer = DynamicLayer


class RoomyLayer(_Layer):
    """Keys and values of one layer, [B, heads, T, D] each, with room to grow: the library's own
    layer copies all of them for each token."""

    _layer_type = None  # no place in the library's registry

    def __init__(self) -> None:
        super().__init__()
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def hold(self, keys: torch.Tensor, values: torch.Tensor, length: int) -> None:
        """Begin with the first `length` columns of these buffers, and write on behind them."""
        self.lazy_initialization(keys, values)
        self._buffers = (keys, values)
        self.keys, self.values = keys[:, :, :length], values[:, :, :length]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append columns; returns all keys and values so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = self.get_seq_length()
        needed = length + key_states.shape[-2]
        buffers = self._buffers
        if buffers is None or buffers[0].shape[-2] < needed:
            buffers = (_longer(key_states, needed + ROOM), _longer(value_states, needed + ROOM))
            if length:
                buffers[0][:, :, :length] = self.keys
                buffers[1][:, :, :length] = self.values
        buffers[0][:, :, length:needed] = key_states
        buffers[1][:, :, length:needed] = value_states
        self._buffers = buffers
        self.keys, self.values = buffers[0][:, :, :needed], buffers[1][:, :, :needed]
        return self.keys, self.values

    def drop_left(self, columns: int) -> None:
        """Forget the first columns."""
        self.keys, self.values = self.keys[:, :, columns:], self.values[:, :, columns:]
        self._buffers = None

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows only."""
        super().batch_select_indices(indices)
        self._buffers = None


def _longer(like: torch.Tensor, length: int) -> torch.Tensor:
    return like.new_empty(*like.shape[:2], length, like.shape[3])


def empty_cache(model: PreTrainedModel) -> DynamicCache:
    """A cache for this model, its plain layers with room to grow."""
    cache = DynamicCache(config=model.config)
    layers: list[Any] = cache.layers
    layers[:] = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in layers]
    return cache


def roomy_layers(cache: DynamicCache) -> list[RoomyLayer] | None:
    """The cache's layers where all are plain ones (no sliding window, no recurrent state)."""
    layers: list[Any] = cache.layers
    return layers if all(type(layer) is RoomyLayer for layer in layers) else None


@dataclass(slots=True)
class _Known:
    """Keys and values of one segment behind those in front of it."""

    number: int
    states: torch.Tensor
    """[2 * layers, heads, T, D]: keys and values of each layer in turn."""


class PrefixStore:
    """Keys and values by prefix; the least recently used go first."""

    def __init__(self, limit: int = STORE_BYTES) -> None:
        self._limit = limit
        self._bytes = 0
        self._known: OrderedDict[tuple[int, Segment], _Known] = OrderedDict()
        self._numbers = count(1)

    def find(self, segments: Sequence[Segment]) -> list[torch.Tensor]:
        """States of the longest known beginning of `segments`, one tensor a segment."""
        found: list[torch.Tensor] = []
        chain: list[tuple[int, Segment]] = []
        number = 0
        for segment in segments:
            key = (number, segment)
            known = self._known.get(key)
            if known is None:
                break
            chain.append(key)
            found.append(known.states)
            number = known.number
        for key in reversed(chain):  # what stands in front is needed at least as long
            self._known.move_to_end(key)
        return found

    def add(self, segments: Sequence[Segment], states: torch.Tensor) -> None:
        """Remember the states of the last of `segments`, if all in front of it are known."""
        number = 0
        for segment in segments[:-1]:
            known = self._known.get((number, segment))
            if known is None:
                return
            number = known.number
        key = (number, segments[-1])
        if key not in self._known:
            self._known[key] = _Known(next(self._numbers), states)
            self._bytes += states.nbytes
            while self._bytes > self._limit:
                _, oldest = self._known.popitem(last=False)
                self._bytes -= oldest.states.nbytes
