"""A causal language model run over a batch of rows of unequal length.

In a batch each row is `[padding, what is remembered of it, padding, its new ids]`: padding is
masked and positions are counted per row, so that a row's results do not depend on its padding, and
every row's newest id stands in the last column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, PreTrainedModel

from cord.engines.embedded.keys_values import ROOM, PrefixStore, Segment, empty_cache, roomy_layers
from cord.engines.embedded.weights import keeps_logits

MOST_PAIRS = 2**24
"""(row, new id, id it looks at) in one forward pass: what its attention mask takes, in float64
128 MB."""
MOST_COLUMNS = 2**16
"""(row, id) in one batch: what its keys and values take, some 300 MB with cord's small models."""


@dataclass(frozen=True, slots=True)
class Row:
    """Ids to read, and what to say behind them."""

    segments: tuple[Segment, ...]
    """Prompt, then each step: other rows may begin with the same."""
    tail: Segment = ()
    """What follows them in this row alone."""
    target: Segment = ()
    """Ids whose log-probabilities are asked for, behind the tail."""

    @property
    def length(self) -> int:
        """Ids in all."""
        return sum(map(len, self.segments)) + len(self.tail) + len(self.target)


class CausalModel:
    """Forward passes of one model; not for two threads at once."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.device = torch.device(model.device)
        self._keeps_logits = keeps_logits(model)
        plain = roomy_layers(empty_cache(model)) is not None
        self._store = PrefixStore() if plain else None

    @torch.inference_mode()
    def target_logprobs(self, rows: Sequence[Row]) -> list[torch.Tensor]:
        """For each row the natural-log probability of each id of its target, float64 [M].

        One forward pass; no target may be empty."""
        longest = max(len(row.target) for row in rows)
        # The last id predicts nothing that is asked for: it stays out.
        batch = Batch(self, rows, [(*row.tail, *row.target[:-1]) for row in rows], longest)
        logprobs = torch.log_softmax(batch.logits.double(), dim=-1)
        wanted, _ = self.padded([row.target for row in rows])
        spoken = logprobs.gather(-1, wanted[:, :, None])[:, :, 0].cpu()
        return [line[longest - len(row.target) :] for line, row in zip(spoken, rows, strict=True)]

    @torch.inference_mode()
    def last_logits(self, rows: Sequence[Row]) -> torch.Tensor:
        """What the model says behind each row, [B, V]; targets are not read."""
        return Batch(self, rows, [row.tail for row in rows]).logits[:, -1]

    def padded(self, rows: Sequence[Segment]) -> tuple[torch.Tensor, torch.Tensor]:
        """(ids, mask), both [B, T] int64, T the longest row; padded on the left."""
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(width) >= width - lengths[:, None]).long()
        return ids.to(self.device), mask.to(self.device)

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache, keep: int
    ) -> torch.Tensor:
        """Feed `ids` [B, N] behind what the cache holds; mask [B, cached + N].

        Returns the logits [B, keep, V] of the last columns."""
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            **({"logits_to_keep": keep} if self._keeps_logits else {}),
        )
        logits: torch.Tensor = output.logits[:, -keep:]
        return logits

    def remembered(self, row: Row) -> list[torch.Tensor]:
        """What the store knows of the row's first segments, leaving something to feed."""
        if self._store is None:
            return []
        feedable = row.segments if row.tail or len(row.target) > 1 else row.segments[:-1]
        return self._store.find(feedable)

    def length_of(self, states: Sequence[torch.Tensor]) -> int | None:
        """How many ids the remembered states stand for."""
        return None if self._store is None else sum(part.shape[2] for part in states)

    def remember(self, segments: Sequence[Segment], states: torch.Tensor) -> None:
        """Keep the states of the last of `segments` for later batches."""
        if self._store is not None:
            self._store.add(segments, states)


class Batch:
    """Rows that have been read; they may be continued id by id."""

    @torch.inference_mode()
    def __init__(
        self, model: CausalModel, rows: Sequence[Row], tails: Sequence[Segment], keep: int = 1
    ) -> None:
        """Read each row's segments and its tail. `keep`: the columns whose logits are wanted."""
        self._model = model
        self._cache = empty_cache(model.model)
        known = [model.remembered(row) for row in rows]
        self.remembered = [model.length_of(states) for states in known]
        """Ids of each row that were not read again; None where the model's cache cannot be kept."""
        mask = self._hold(known)
        fresh = [
            tuple(id_ for segment in row.segments[len(states) :] for id_ in segment) + tail
            for row, states, tail in zip(rows, known, tails, strict=True)
        ]
        ids, fresh_mask = model.padded(fresh)
        self._mask = torch.cat([mask, fresh_mask], dim=1)
        self.logits = model.forward(ids, self._mask, self._cache, keep)
        """[B, keep, V]"""
        self._remember(rows, known, [mask.shape[1] + ids.shape[1] - len(row) for row in fresh])

    @torch.inference_mode()
    def feed(self, ids: torch.Tensor) -> None:
        """Append one id [B] to each row."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(ids), 1)], dim=1)
        self.logits = self._model.forward(ids[:, None], self._mask, self._cache, 1)

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these (places in the batch), and columns that pad all of them."""
        places = torch.tensor(rows, device=self._mask.device)
        mask = self._mask[places]
        left = 0
        if (layers := roomy_layers(self._cache)) is not None:
            left = int(mask.any(dim=0).long().argmax())
            for layer in layers:
                layer.drop_left(left)
        self._cache.batch_select_indices(places)
        self._mask, self.logits = mask[:, left:], self.logits[places]

    def _hold(self, known: Sequence[Sequence[torch.Tensor]]) -> torch.Tensor:
        """Begin the cache with what is known of each row; returns the mask of it, [B, P]."""
        lengths = [sum(states.shape[2] for states in row) for row in known]
        width = max(lengths)
        mask = torch.zeros(len(known), width, dtype=torch.int64, device=self._model.device)
        layers = roomy_layers(self._cache)
        if layers is None or not width:
            return mask
        like = next(row[0] for row in known if row)
        slots, heads, _, size = like.shape
        # Zeros: what is masked is still multiplied, and must be a number.
        held = like.new_zeros(slots, len(known), heads, width + ROOM, size)
        for place, (row, length) in enumerate(zip(known, lengths, strict=True)):
            mask[place, width - length :] = 1
            start = width - length
            for states in row:
                end = start + states.shape[2]
                held[:, place, :, start:end] = states
                start = end
        for number, layer in enumerate(layers):
            layer.hold(held[2 * number], held[2 * number + 1], width)
        return mask

    def _remember(
        self, rows: Sequence[Row], known: Sequence[Sequence[torch.Tensor]], starts: Sequence[int]
    ) -> None:
        """Give the store the states of every segment that was fed; `starts`: first new columns."""
        layers = roomy_layers(self._cache)
        if layers is None:
            return
        states = [part for layer in layers for part in (layer.keys, layer.values)]
        for place, (row, old, start) in enumerate(zip(rows, known, starts, strict=True)):
            for number in range(len(old), len(row.segments)):
                end = start + len(row.segments[number])
                fed = torch.stack([part[place, :, start:end] for part in states])
                self._model.remember(row.segments[: number + 1], fed)
                start = end


def portions(rows: Sequence[Row], growth: int = 0) -> Iterator[list[int]]:
    """Cut a batch into parts that fit in memory: places of rows, similar lengths together.

    `growth`: how many ids may still be appended to each."""
    part: list[int] = []
    for place in sorted(range(len(rows)), key=lambda place: rows[place].length):
        length, count = rows[place].length, len(part) + 1
        if part and (count * length**2 > MOST_PAIRS or count * (length + growth) > MOST_COLUMNS):
            yield part
            part = []
        part.append(place)
    yield part
