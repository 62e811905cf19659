"""A reward model that cord serves itself: `VllmRewardEngine` over a server of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cord.engines import EngineInfo
from cord.engines.managed.bringing import BringsItsServer
from cord.engines.managed.engine import NOWHERE
from cord.engines.managed.serving import Serving
from cord.engines.rewarding import RewardRequest
from cord.engines.suspects import Suspects
from cord.engines.vllm.metrics import MeteredServer
from cord.engines.vllm.reward_engine import VllmRewardEngine


class ManagedVllmRewardEngine(BringsItsServer, VllmRewardEngine):
    """A `RewardEngine` that brings its own server. Safe from several loops and threads.

    `serving` is to be one for pooling. `options` are `VllmRewardEngine`'s."""

    def __init__(self, serving: Serving, **options: Any) -> None:
        suspects = Suspects(on_found=self._forgive)
        VllmRewardEngine.__init__(
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
        """Start the server where it is not up, and try that it rewards. Raises `EngineError`."""
        await self._up()
        await super().describe()

    async def describe(self) -> EngineInfo:
        """Say what model this is. Where the recipe gives `serve.context` this starts nothing."""
        if (info := await self._unstarted()) is not None:
            return info
        await self.start()
        return await super().describe()

    async def step_reward(self, request: RewardRequest) -> float:
        """As `VllmRewardEngine`, once the server is up."""
        await self._up()
        return await super().step_reward(request)

    async def close(self) -> None:
        """Stop the server and close the connections. The engine may be used again afterwards."""
        await super().close()
        await self._stop()
