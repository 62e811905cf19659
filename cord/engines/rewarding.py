"""What the search needs of a process reward model: how right is the last step?

Such a model writes nothing, so it is no `Engine`. It lives in the same rooms: `embedded` (in this
process), `vllm` (on a server), `managed` (on a server that cord starts).
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from cord.engines import EngineInfo
from cord.engines.metering import ENGINES, asked_by, at_work
from cord.engines.seats import Seats


@dataclass(frozen=True, slots=True)
class RewardRequest:
    """Ask for the reward of the last of some steps."""

    question: str
    steps: tuple[str, ...]
    """Texts of whole steps, thinking only, at least one. None is empty, or begins or ends in white
    space."""
    urgency: int = 0
    """As in `cord.engines.AnswerRequest`."""


class RewardEngine(Protocol):
    """One reward model. Safe to call from several event loops and threads at once."""

    async def describe(self) -> EngineInfo:
        """Say what model this is. Raises `EngineUnreachable` or `EngineError`."""
        ...

    async def step_reward(self, request: RewardRequest) -> float:
        """The last step's reward in [0, 1]: how likely it is right, given what is in front of it.

        The same request gives the same reward where `EngineInfo.reproducible` holds. Raises
        `ContextTooLong`, `EngineError`."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class WorkingRewardEngine:
    """A `RewardEngine` whose requests take a seat, if there are seats, and are metered."""

    def __init__(
        self, engine: RewardEngine, name: str, asker: str, seats: Seats | None = None
    ) -> None:
        """`name` is the model's, `asker` who asks it, as meters know them."""
        self.engine = engine
        self.seats = seats
        self._meter = ENGINES.of(name)
        self._asker = asker

    def __repr__(self) -> str:
        return f"WorkingRewardEngine({self.engine!r}, {self._asker!r})"

    async def describe(self) -> EngineInfo:
        """As the engine itself."""
        return await self.engine.describe()

    async def step_reward(self, request: RewardRequest) -> float:
        """As the engine itself, once there is a seat."""
        async with AsyncExitStack() as stack:
            if self.seats is not None:
                await self.seats.take(request.urgency)
                stack.callback(self.seats.leave)
            with asked_by(self._asker), at_work(self._meter):
                return await self.engine.step_reward(request)

    async def close(self) -> None:
        """As the engine itself."""
        await self.engine.close()
