"""A process reward model in this process: the twin of one that vLLM serves.

It reads the layout that `reward_model` describes. Requests in flight are run together, on what is
remembered of their prefixes; in float64 the same request gives the same reward whatever else is in
its batch, as with the embedded engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from cord.engines import EngineInfo
from cord.engines.embedded.batching import Batcher, Ticket
from cord.engines.embedded.causal_model import CausalModel, Row, portions
from cord.engines.embedded.chat_tokenizer import ChatTokenizer
from cord.engines.embedded.engine import BATCH, usual_threads
from cord.engines.embedded.precision import computes_exactly, usual_dtype, widen_norms
from cord.engines.embedded.reward_model import RIGHT, load
from cord.engines.embedded.sampling import rounded
from cord.engines.embedded.weights import context_of, identity_of, model_folder, parameters_in
from cord.engines.rewarding import RewardRequest
from cord.errors import ContextTooLong, EngineError
from cord.prompts import REWARD_INSTRUCTIONS, STEP_REWARD_TOKEN


class EmbeddedRewardEngine:
    """One reward model in this process; implements `cord.engines.rewarding.RewardEngine`."""

    def __init__(
        self, info: EngineInfo, model: CausalModel, tokenizer: ChatTokenizer, threads: int
    ) -> None:
        mark = tokenizer.special_id(STEP_REWARD_TOKEN)
        if mark is None:
            raise EngineError(
                f"the tokenizer of reward model {info.model} has no special token "
                f"{STEP_REWARD_TOKEN}, at which a process reward model is asked"
            )
        self._info = info
        self._mark = mark
        self._model = model
        self._tokenizer = tokenizer
        self._batcher = Batcher(
            f"cord reward engine {info.model}", BATCH, lambda: torch.set_num_threads(threads)
        )

    async def describe(self) -> EngineInfo:
        """Say what model this is."""
        return self._info

    async def step_reward(self, request: RewardRequest) -> float:
        """The last step's reward. Raises `ContextTooLong`, `EngineError`."""
        row = Row(
            (
                self._tokenizer.chat_ids(request.question),
                *((*self._tokenizer.text_ids(step), self._mark) for step in request.steps),
            )
        )
        if row.length > self._info.context:
            raise ContextTooLong(
                f"the prompt and the steps so far take {row.length} tokens, and reward model "
                f"{self._info.model} has a context of {self._info.context}; set a smaller "
                "search.max_tokens, or use a reward model that reads more"
            )
        return await asyncio.wrap_future(self._batcher.submit(self._run, row))

    async def close(self) -> None:
        """Stop the worker; requests under way fail."""
        await asyncio.to_thread(self._batcher.close)

    def _run(self, tickets: Sequence[Ticket[Row, float]]) -> None:
        """Reward all of them, equal ones once, in one forward pass if they fit into it."""
        jobs = list({ticket.job: None for ticket in tickets})
        rewards: dict[Row, float] = {}
        for part in portions(jobs):
            rows = [jobs[place] for place in part]
            logprobs = rounded(torch.log_softmax(self._model.last_logits(rows).double(), dim=-1))
            rewards |= zip(rows, logprobs[:, RIGHT].exp().tolist(), strict=True)
        for ticket in tickets:
            ticket.done(rewards[ticket.job])


def open_embedded_reward(
    model: str, *, device: str = "cpu", dtype: torch.dtype | None = None, threads: int | None = None
) -> EmbeddedRewardEngine:
    """Load `cord:NAME` or a local folder; the arguments are `open_embedded`'s. Raises
    `EngineError`."""
    folder = model_folder(model)
    dtype = dtype or usual_dtype(parameters_in(folder), device)
    network: Any = load(folder, dtype)
    tokenizer = ChatTokenizer.from_folder(folder, REWARD_INSTRUCTIONS)
    network.to(device)
    if dtype == torch.float64:
        widen_norms(network)
    causal = CausalModel(network)
    info = EngineInfo(
        model=model,
        identity=identity_of(folder),
        context=context_of(folder, network.config),
        engine=f"embedded {transformers.__version__}",
        reproducible=computes_exactly(
            network, lambda: causal.last_logits([Row(((0, 1),)), Row(((1,),))])
        ),
        scores=False,
        scoring=f"a reward at each {STEP_REWARD_TOKEN}",
    )
    return EmbeddedRewardEngine(info, causal, tokenizer, threads or usual_threads())
