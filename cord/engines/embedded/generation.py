"""The decoding loop: many continuations at once, each leaving when it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cord.engines import FinishReason
from cord.engines.embedded.batching import Ticket
from cord.engines.embedded.causal_model import Batch, CausalModel, Row, portions
from cord.engines.embedded.chat_tokenizer import ChatTokenizer
from cord.engines.embedded.sampling import choose, uniforms
from cord.engines.embedded.writing import Writing

CROWDED = 0.75
"""Finished rows are dropped from the cache when this share or less still writes: each dropping
copies what remains."""
USUAL_GROWTH = 128
"""Ids that a row is expected to grow by when a batch is cut to what fits in memory: caps on steps
are generous, and steps are short."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """What to continue, and how."""

    prefix: Row
    stop: tuple[str, ...]
    max_tokens: int
    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True, slots=True)
class Written:
    """What was written behind the prefix."""

    text: str
    token_ids: tuple[int, ...]
    """They spell `text`."""
    tokens: int
    """Sampled, stop and end included."""
    finish: FinishReason
    cached_tokens: int | None
    """Of the prefix, those that were remembered; None where the model's cache cannot be kept."""
    stopped_at: str = ""
    """The stop string that was met."""


class _Writer:
    """A continuation under way."""

    def __init__(self, ticket: Ticket[Continuation, Written], writing: Writing) -> None:
        job = ticket.job
        self.ticket = ticket
        self.writing = writing
        self.uniforms = uniforms(job.seed, job.max_tokens)
        self.cached_tokens: int | None = None

    def take(self, token: int, tokenizer: ChatTokenizer) -> None:
        """Write one token; settles the ticket when that was the last."""
        finish = self.writing.add(token)
        if finish is not None and not self.ticket.settled:
            ids = tuple(self.writing.ids(tokenizer.text_ids))
            self.ticket.done(
                Written(
                    self.writing.text,
                    ids,
                    len(self.writing.sampled),
                    finish,
                    self.cached_tokens,
                    self.writing.stopped_at,
                )
            )


class Generator:
    """Runs batches of continuations on one model."""

    def __init__(self, model: CausalModel, tokenizer: ChatTokenizer, ends: frozenset[int]) -> None:
        """`ends`: ids that end the model's turn. Special tokens besides these are never chosen."""
        self._model = model
        self._tokenizer = tokenizer
        self._ends = ends
        self._unspoken = sorted(tokenizer.unspoken_ids - ends)

    def run(self, tickets: Sequence[Ticket[Continuation, Written]]) -> None:
        """Continue all of them; each is settled when it is finished."""
        for part in portions([ticket.job.prefix for ticket in tickets], USUAL_GROWTH):
            self._run([self._writer(tickets[place]) for place in part])

    def _run(self, held: list[_Writer]) -> None:
        """Continue one batch. `held` are the rows in its cache, finished ones among them."""
        prefixes = [row.ticket.job.prefix for row in held]
        batch = Batch(self._model, prefixes, [prefix.tail for prefix in prefixes])
        for row, cached in zip(held, batch.remembered, strict=True):
            row.cached_tokens = cached
        dials = _Dials(held, batch.logits.device)
        for index in range(max(row.ticket.job.max_tokens for row in held)):
            chosen = dials.choose(self._speakable(batch.logits[:, -1]), index)
            for row, token in zip(held, chosen.tolist(), strict=True):
                if not row.ticket.settled:
                    row.take(token, self._tokenizer)
            writing = [place for place, row in enumerate(held) if not row.ticket.settled]
            if not writing:
                return
            if len(writing) <= CROWDED * len(held):
                held = [held[place] for place in writing]
                batch.keep(writing)
                chosen = chosen[torch.tensor(writing, device=chosen.device)]
                dials = _Dials(held, batch.logits.device)
            batch.feed(chosen)

    def _writer(self, ticket: Ticket[Continuation, Written]) -> _Writer:
        job = ticket.job
        before = [id_ for segment in (*job.prefix.segments, job.prefix.tail) for id_ in segment]
        writing = Writing(self._tokenizer.backend, before, job.stop, self._ends, job.max_tokens)
        return _Writer(ticket, writing)

    def _speakable(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [B, V] without what spells nothing: special tokens, and padding of the
        vocabulary."""
        logits = logits.clone()
        logits[:, self._unspoken] = -torch.inf
        logits[:, self._tokenizer.size :] = -torch.inf
        return logits


class _Dials:
    """Temperature, top_p and uniform numbers of the rows, as tensors."""

    def __init__(self, rows: Sequence[_Writer], device: torch.device) -> None:
        self._temperature = torch.tensor(
            [row.ticket.job.temperature for row in rows], dtype=torch.float64, device=device
        )
        self._top_p = torch.tensor(
            [row.ticket.job.top_p for row in rows], dtype=torch.float64, device=device
        )
        longest = max(len(row.uniforms) for row in rows)
        uniform = np.zeros((len(rows), longest))
        for place, row in enumerate(rows):
            uniform[place, : len(row.uniforms)] = row.uniforms
        self._uniform = torch.from_numpy(uniform).to(device)

    def choose(self, logits: torch.Tensor, index: int) -> torch.Tensor:
        """The next token of each row, [B]; `index` counts sampled tokens from 0."""
        return choose(logits, self._temperature, self._top_p, self._uniform[:, index])
