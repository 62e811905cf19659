"""What engines have in common that bring their own server."""

from __future__ import annotations

import asyncio

from cord.engines import EngineInfo
from cord.engines.managed.keeper import VllmKeeper
from cord.engines.managed.serving import Serving, installed_version
from cord.engines.vllm.server import VllmServer


class BringsItsServer:
    """Mixed into an engine over a vLLM server, in front of it: the server is started at first need.

    Each request of the engine first awaits `_up`."""

    _server: VllmServer
    _identity: str
    _keeper: VllmKeeper

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._keeper.serving.title!r})"

    async def start(self) -> None:
        """Start the server where it is not up, and try what it can do. Raises `EngineError`."""
        raise NotImplementedError

    def _bring(self, serving: Serving) -> None:
        self._keeper = VllmKeeper(serving, self._move, self._server.give_up, self._server.died)

    async def _up(self) -> None:
        if self._identity and self._keeper.has_come_up:
            await self._keeper.up()  # at once
        else:
            await asyncio.gather(self._name(), self._keeper.up())

    async def _unstarted(self) -> EngineInfo | None:
        """What identifies the model, where that is known without a start: the recipe gives
        `serve.context`. What it can do is found out by `start`. None where it is up, or must be."""
        context = self._keeper.serving.settings.context
        if context is None or self._keeper.has_come_up:
            return None
        version = await asyncio.to_thread(installed_version)
        return EngineInfo(
            model=self._keeper.serving.model,
            identity=await self._name(),
            context=context,
            engine=f"vllm {version}".rstrip(),
            reproducible=False,
            scores=not self._keeper.serving.pooling,
        )

    async def _stop(self) -> None:
        await asyncio.to_thread(self._keeper.stop)

    def _move(self, url: str) -> None:
        self._server.url = url

    def _forgive(self) -> None:
        self._keeper.forgive()

    async def _name(self) -> str:
        if not self._identity:
            self._identity = await asyncio.to_thread(self._keeper.serving.identity)
        return self._identity
