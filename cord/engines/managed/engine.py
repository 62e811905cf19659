"""A vLLM teacher that cord serves itself: `VllmEngine` over a server that is started at first need.

recipe: model, serve ──> Serving ──> VllmKeeper ──> VllmProcess ──> supervisor ──> vllm serve
                         (what)      (keeps it up)  (one start)     (no orphans)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cord.engines import AnswerRequest, EngineInfo, Proposal, ProposalRequest
from cord.engines.managed.bringing import BringsItsServer
from cord.engines.managed.serving import Serving
from cord.engines.suspects import Suspects
from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.metrics import MeteredServer

NOWHERE = "http://127.0.0.1:0/v1"
"""The url of a server that has none yet."""


class ManagedVllmEngine(BringsItsServer, VllmEngine):
    """An `Engine` that brings its own server. Safe from several loops and threads.

    Each request first waits for the server's first start. `options` are `VllmEngine`'s."""

    def __init__(self, serving: Serving, **options: Any) -> None:
        suspects = Suspects(on_found=self._forgive)
        VllmEngine.__init__(
            self,
            NOWHERE,
            serving.model,
            api_key_env=serving.api_key_env,
            suspects=suspects,
            **options,
        )
        self._bring(serving)

    @property
    def metered_server(self) -> MeteredServer:
        """Where its server's own counters are, whatever port it has."""
        return replace(super().metered_server, name=self._keeper.serving.title)

    async def start(self) -> None:
        """Start the server where it is not up, and try what it can do. Raises `EngineError`."""
        await self._up()
        await super().describe()

    async def describe(self) -> EngineInfo:
        """Say what model this is. Where the recipe gives `serve.context` this starts nothing."""
        if (info := await self._unstarted()) is not None:
            return info
        await self.start()
        return await super().describe()

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

    async def close(self) -> None:
        """Stop the server and close the connections. The engine may be used again afterwards."""
        await super().close()
        await self._stop()
