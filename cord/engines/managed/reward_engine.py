"""A reward model that cord serves itself: `VllmRewardEngine` over a server of its own."""

from __future__ import annotations

from cord.engines.managed.bringing import BringsItsServer
from cord.engines.rewarding import RewardRequest
from cord.engines.vllm.reward_engine import VllmRewardEngine


class ManagedVllmRewardEngine(BringsItsServer, VllmRewardEngine):
    """A `RewardEngine` that brings its own server. Safe from several loops and threads.

    `serving` is to be one for pooling. `options` are `VllmRewardEngine`'s."""

    async def step_reward(self, request: RewardRequest) -> float:
        """As `VllmRewardEngine`, once the server is up."""
        await self._up()
        return await super().step_reward(request)
