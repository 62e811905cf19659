"""An engine around another one, which passes everything on."""

from __future__ import annotations

from collections.abc import Sequence

from cord.engines import AnswerRequest, Engine, EngineInfo, Proposal, ProposalRequest


class WrappedEngine:
    """An `Engine` that does as `engine` does; the base of those that do more."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def describe(self) -> EngineInfo:
        """As the engine itself."""
        return await self.engine.describe()

    async def propose(self, request: ProposalRequest) -> Proposal:
        """As the engine itself."""
        return await self.engine.propose(request)

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """As the engine itself."""
        return await self.engine.answer_logprobs(request)

    async def prompt_tokens(self, question: str) -> int:
        """As the engine itself."""
        return await self.engine.prompt_tokens(question)

    async def close(self) -> None:
        """As the engine itself."""
        await self.engine.close()
