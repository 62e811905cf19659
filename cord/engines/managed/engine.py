"""A vLLM teacher that cord serves itself: `VllmEngine` over a server that is started at first need.

recipe: model, serve ──> Serving ──> VllmKeeper ──> VllmProcess ──> supervisor ──> vllm serve
                         (what)      (keeps it up)  (one start)     (no orphans)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cord.engines import AnswerRequest, EngineInfo, Proposal, ProposalRequest
from cord.engines.managed.keeper import VllmKeeper
from cord.engines.managed.serving import Serving, installed_version
from cord.engines.suspects import Suspects
from cord.engines.vllm.engine import VllmEngine
from cord.engines.vllm.metrics import MeteredServer


class ManagedVllmEngine(VllmEngine):
    """An `Engine` that brings its own server. Safe from several loops and threads.

    Each request first waits for the server's first start. `options` are `VllmEngine`'s."""

    def __init__(self, serving: Serving, **options: Any) -> None:
        super().__init__(
            "http://127.0.0.1:0/v1",
            serving.model,
            api_key_env=serving.api_key_env,
            suspects=Suspects(on_found=self._forgive),
            **options,
        )
        self._keeper = VllmKeeper(serving, self._move, self._server.give_up, self._server.died)

    def __repr__(self) -> str:
        return f"ManagedVllmEngine({self._keeper.serving.title!r})"

    @property
    def metered_server(self) -> MeteredServer:
        """Where its server's own counters are, whatever port it has."""
        metered = super().metered_server
        return replace(metered, name=self._keeper.serving.title)

    async def start(self) -> None:
        """Start the server where it is not up, and try what it can do. Raises `EngineError`."""
        await self._up()
        await super().describe()

    async def describe(self) -> EngineInfo:
        """Say what model this is. Where the recipe gives `serve.context` this starts nothing: all
        that identifies the model is known, and that it scores is found out by `start`."""
        context = self._keeper.serving.settings.context
        if context is None or self._keeper.has_come_up:
            await self.start()
            return await super().describe()
        version = await asyncio.to_thread(installed_version)
        return EngineInfo(
            model=self._keeper.serving.model,
            identity=await self._name(),
            context=context,
            engine=f"vllm {version}".rstrip(),
            reproducible=False,
            scores=True,
        )

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
        await asyncio.to_thread(self._keeper.stop)

    async def _up(self) -> None:
        if self._identity and self._keeper.has_come_up:
            await self._keeper.up()  # at once
        else:
            await asyncio.gather(self._name(), self._keeper.up())

    def _move(self, url: str) -> None:
        self._server.url = url

    def _forgive(self) -> None:
        self._keeper.forgive()

    async def _name(self) -> str:
        if not self._identity:
            self._identity = await asyncio.to_thread(self._keeper.serving.identity)
        return self._identity
