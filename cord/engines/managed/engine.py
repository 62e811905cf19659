"""A vLLM teacher that cord serves itself: `VllmEngine` over a server that is started at first need.

recipe: model, serve ──> Serving ──> VllmKeeper ──> VllmProcess ──> supervisor ──> vllm serve
                         (what)      (keeps it up)  (one start)     (no orphans)
"""

from __future__ import annotations

from collections.abc import Sequence

from cord.engines import AnswerRequest, Proposal, ProposalRequest
from cord.engines.managed.bringing import BringsItsServer
from cord.engines.vllm.engine import VllmEngine


class ManagedVllmEngine(BringsItsServer, VllmEngine):
    """An `Engine` that brings its own server. Safe from several loops and threads.

    Each request first waits for the server's first start. `options` are `VllmEngine`'s."""

    async def propose(self, request: ProposalRequest) -> Proposal:
        """As `VllmEngine`, once the server is up."""
        await self._up()
        return await super().propose(request)

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """As `VllmEngine`, once the server is up."""
        await self._up()
        return await super().answer_logprobs(request)

    async def prompt_tokens(self, question: str) -> int:
        """As `VllmEngine`, once the server is up."""
        await self._up()
        return await super().prompt_tokens(question)
