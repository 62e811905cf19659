"""A test double at the engine seam: a teacher that says what the test wrote down."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from cord.engines import AnswerRequest, EngineInfo, Proposal, ProposalRequest

Say = Callable[[ProposalRequest], str]
Judge = Callable[[str, str], tuple[float, ...]]


class ScriptedEngine:
    """Proposes `say(request)` cut at stop strings, and scores with `judge(thinking, answer)`."""

    def __init__(
        self,
        say: Say = lambda request: " nothing\n</think>\n\nThe final answer is \\boxed{0}",
        judge: Judge = lambda thinking, answer: (-0.5,),
        name: str = "scripted",
        jitter: bool = False,
    ) -> None:
        self.say, self.judge, self.name, self.jitter = say, judge, name, jitter
        self.requests: list[ProposalRequest] = []
        self.scored: list[AnswerRequest] = []

    async def describe(self) -> EngineInfo:
        return EngineInfo(self.name, f"scripted:{self.name}", 4096, "scripted", True, True)

    async def propose(self, request: ProposalRequest) -> Proposal:
        self.requests.append(request)
        if self.jitter:  # answers come back in any order
            await asyncio.sleep(random.random() / 1000)
        body, finish, met = self.say(request), "end", ""
        if found := [(body.find(stop), stop) for stop in request.stop if stop in body]:
            place, met = min(found)
            body, finish = body[:place], "stop"
        words = body.split(" ")
        if len(words) > request.max_tokens:
            body, finish, met = " ".join(words[: request.max_tokens]), "length", ""
        text = request.opening + body
        tokens = min(len(words), request.max_tokens)
        ids = tuple(text.encode())
        return Proposal(text, ids, f"scripted:{self.name}", tokens, finish, met)  # type: ignore[arg-type]

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        self.scored.append(request)
        if self.jitter:
            await asyncio.sleep(random.random() / 1000)
        thinking = "".join(step.text for step in request.thinking)
        return [self.judge(thinking, answer) for answer in request.answers]

    async def prompt_tokens(self, question: str) -> int:
        return len(question.split())

    async def close(self) -> None:
        pass
