"""What engines have in common that bring their own server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cord.engines import EngineInfo
from cord.engines.managed.keeper import VllmKeeper
from cord.engines.managed.serving import Serving, installed_version
from cord.engines.suspects import Suspects
from cord.engines.vllm.metrics import MeteredServer
from cord.engines.vllm.server import VllmServer

NOWHERE = "http://127.0.0.1:0/v1"
"""The url of a server that has none yet."""

if TYPE_CHECKING:

    class _OverAServer:  # what stands behind it in the engine that it is mixed into
        _server: VllmServer
        _identity: str

        def __init__(self, url: str, model: str, **options: Any) -> None: ...
        @property
        def metered_server(self) -> MeteredServer: ...
        async def describe(self) -> EngineInfo: ...
        async def close(self) -> None: ...
else:
    _OverAServer = object


class BringsItsServer(_OverAServer):
    """Mixed into an engine over a vLLM server, in front of it: the server is started at first need.

    Each request of the engine first awaits `_up`."""

    def __init__(self, serving: Serving, **options: Any) -> None:
        """`options` are the engine's own."""
        suspects = Suspects(on_found=self._forgive)
        super().__init__(
            NOWHERE, serving.model, api_key_env=serving.api_key_env, suspects=suspects, **options
        )
        self._keeper = VllmKeeper(serving, self._move, self._server.give_up, self._server.died)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._keeper.serving.title!r})"

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

    async def close(self) -> None:
        """Stop the server and close the connections. The engine may be used again afterwards."""
        await super().close()
        await asyncio.to_thread(self._keeper.stop)

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

    def _move(self, url: str) -> None:
        self._server.url = url

    def _forgive(self) -> None:
        self._keeper.forgive()

    async def _name(self) -> str:
        if not self._identity:
            self._identity = await asyncio.to_thread(self._keeper.serving.identity)
        return self._identity
