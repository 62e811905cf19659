"""A logits processor for vLLM's server: it decodes the token ids that a request carries.

    vllm serve MODEL --logits-processors cord.engines.vllm.forced_decoding:ForcedDecoding

A request that has a list of ids in `vllm_xargs` under `cord_forced_ids` is made to sample exactly
these, one a step; every other request is left alone. vLLM takes its log-probabilities from what the
model said *before* any processor (`--logprobs-mode raw_logprobs`, its default), so `logprobs=0`
gives the model's own log p(answer | prompt), and the prompt is an ordinary one: it comes out of the
prefix cache, where `prompt_logprobs` would read all of it again.

One class serves both of vLLM's model runners, which each have an interface of their own: V1 names
rows by their place in the batch and says how the batch changed
(`vllm/v1/sample/logits_processor/interface.py`), V2 names them by a slot that a request keeps
(`vllm/v1/worker/gpu/sample/logits_processor/interface.py`). V1 was tested on a real server; V2
runs on GPUs only and was tested against its interface alone.

This module runs in the server's environment: it imports nothing but vLLM, torch, and those parts of
cord that need no package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from vllm.v1.sample.logits_processor import LogitsProcessor as V1LogitsProcessor

from cord.engines.vllm.forced_decoding_flags import FORCED_IDS
from cord.engines.vllm.forced_rows import ForcedRows, forced_ids

try:
    from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as V2LogitsProcessor
except ImportError:  # an older vLLM: there is V1 alone

    class V2LogitsProcessor:  # type: ignore[no-redef]
        """Stands where V2's interface would."""


class ForcedDecoding(V1LogitsProcessor, V2LogitsProcessor):  # type: ignore[misc]
    """Makes sampling yield the ids that a request brings along."""

    def __init__(self, vllm_config: Any, home: Any, is_pin_memory: bool = False) -> None:
        """`home`: V1 gives the device, V2 the state that its requests share."""
        on_v1 = isinstance(home, torch.device)
        self._pin_memory = is_pin_memory if on_v1 else home.device.type == "cuda"
        self._prompt_len: Any = None if on_v1 else home.prompt_len
        self._rows = ForcedRows()

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse what cannot be forced, with HTTP status 400."""
        ids = forced_ids(sampling_params.extra_args)
        if ids is None:
            return
        if sampling_params.structured_outputs is not None:
            raise ValueError(f"vllm_xargs.{FORCED_IDS} cannot be combined with structured outputs")
        if sampling_params.max_tokens is not None and sampling_params.max_tokens > len(ids):
            raise ValueError(
                f"vllm_xargs.{FORCED_IDS} has {len(ids)} token ids, fewer than max_tokens "
                f"({sampling_params.max_tokens})"
            )

    def is_argmax_invariant(self) -> bool:
        """It decides the argmax."""
        return False

    # V1

    def update_state(self, batch_update: Any) -> None:
        """Follow the rows of the batch."""
        if batch_update is None:
            return
        self._rows.update(
            batch_update.removed,
            [
                (row, forced_ids(params.extra_args), output)
                for row, params, _, output in batch_update.added
            ],
            [(a, b, direction.name == "SWAP") for a, b, direction in batch_update.moved],
        )

    # V2

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Take a request into a slot; says whether it is forced."""
        ids = forced_ids(sampling_params.extra_args)
        self._rows.update([], [(req_idx, ids, ())], [])
        return ids is not None

    # both

    def apply(self, logits: torch.Tensor, ctx: Any = None) -> torch.Tensor:
        """Leave in each forced row (logits [rows, vocabulary], in place) one possible token."""
        forced = self._rows.next_ids() if ctx is None else self._next_in_slots(ctx)
        vocabulary = logits.shape[-1]
        # An id beyond the vocabulary would be out of bounds and end the server; it is not forced,
        # and whoever asked sees that another token came back.
        forced = [(row, token) for row, token in forced if token < vocabulary]
        if forced:
            where = torch.tensor(forced, dtype=torch.int64, pin_memory=self._pin_memory)
            rows, tokens = where.to(logits.device, non_blocking=True).unbind(1)
            logits[rows] = float("-inf")
            logits[rows, tokens] = 0.0
        return logits

    def _next_in_slots(self, ctx: Any) -> list[tuple[int, int]]:
        """(row of the batch, token) for V2, whose slots are known on the host."""
        if not self._rows:
            return []
        lengths: Sequence[int] = ctx.seq_lens_upper_bound_np.tolist()
        slots: Sequence[int] = ctx.idx_mapping_np.tolist()
        found = []
        for row, (slot, length) in enumerate(zip(slots, lengths, strict=False)):
            if slot < 0:
                continue
            decoded = length - int(self._prompt_len.np[slot])
            if (token := self._rows.id_at(slot, decoded)) is not None:
                found.append((row, token))
        return found
