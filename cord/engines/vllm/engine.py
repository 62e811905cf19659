"""A model on a vLLM server, over HTTP: token ids in, token ids out.

A prefix is sent as ids: the rendered chat, then each step's ids. A step that this very model wrote
goes back as the ids it sampled, because the text tokenised anew is often another spelling, and the
server's prefix cache matches ids (facts.md: 512 of 1,106 tokens cached instead of 1,088). Steps of
other models are tokenised by this server, each on its own.

Sampling is all in the recipe: defaults that a model's `generation_config.json` sets on the server
(top-k, penalties) are overruled, so that the recipe's fingerprint tells the whole story.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cord.engines import (
    AnswerRequest,
    EngineInfo,
    FinishReason,
    Proposal,
    ProposalRequest,
    json_values,
)
from cord.engines.prefix import own_ids
from cord.engines.suspects import Suspects
from cord.engines.vllm.model import VllmModel
from cord.engines.vllm.scoring import Scoring
from cord.engines.vllm.scoring_ways import WAYS, ScoringWay
from cord.engines.vllm.served import Served
from cord.engines.vllm.server import Answer, Patience
from cord.engines.vllm.tokens import Ids
from cord.errors import ContextTooLong, EngineError, EngineRefused, EngineUnreachable
from cord.prompts import INSTRUCTIONS
from cord.types import Step

_NEUTRAL = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}


class VllmEngine(VllmModel):
    """An `Engine` over a vLLM server. `ways` are the ways to score that may be used; the other
    arguments are `VllmModel`'s."""

    def __init__(
        self,
        url: str,
        model: str,
        api_key_env: str | None = None,
        instructions: str = INSTRUCTIONS,
        patience: Patience | None = None,
        connections: int = 256,
        identity: str = "",
        ways: Mapping[str, ScoringWay] = WAYS,
        suspects: Suspects | None = None,
    ) -> None:
        super().__init__(
            url, model, api_key_env, instructions, patience, connections, identity, suspects
        )
        self._score = Scoring(self._server, self._tokenizer, ways)
        self._info: EngineInfo | None = None

    async def describe(self) -> EngineInfo:
        """Say what model this is, having tried that it takes a chat and whether it scores."""
        if self._info is None:
            served = await self._ask_who(self._server.patience.first_contact_s)
            self._info = EngineInfo(
                model=self._server.model,
                identity=served.identity,
                context=served.context,
                engine=f"vllm {served.version}",
                reproducible=False,  # nobody has shown that this server's batches do not matter
                scores=bool(way := await self._way_to_score()),
                scoring=way,
            )
        return replace(self._info, scoring=self._score.name)

    async def propose(self, request: ProposalRequest) -> Proposal:
        """Sample one continuation. Where the context leaves less room than `max_tokens`, the
        proposal ends there (`length`). Raises `ContextTooLong`, `EngineError`."""
        served = await self._ask_who()
        opening_ids = await self._tokenizer.ids(request.opening)
        prompt = await self._tokenizer.prompt_ids(request.question, request.instructions)
        prompt += await self._steps(request.steps, served) + opening_ids
        room = self._room(prompt, served)
        body = {
            **_NEUTRAL,
            "prompt": prompt,
            "max_tokens": min(request.max_tokens, room),
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
            "stop": request.stop,
            "return_token_ids": True,
            "skip_special_tokens": False,  # or the text would not be what the ids spell
        }

        async def ask() -> tuple[Answer, str, Ids, FinishReason, str | None]:
            answer = await self._server.post("/v1/completions", body)
            return answer, *self._choice(answer)

        begun = time.monotonic()
        answer, text, sampled, finish, stop = await self._server.insist(ask)
        seconds = time.monotonic() - begun
        body_ids = sampled[:-1] if finish == "end" else sampled
        text, spelt = await self._tokenizer.written(request.opening, text, body_ids, stop)
        return Proposal(
            text=text,
            token_ids=spelt,
            model=served.identity,
            tokens=len(sampled),
            finish=finish,
            stopped_at=stop or "",
            prompt_tokens=len(prompt),
            cached_tokens=_cached_tokens(answer, len(prompt)),
            seconds=seconds,
        )

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """Natural-log probabilities, for each answer one value per answer token.

        Raises `ContextTooLong`, `EngineError`."""
        served = await self._ask_who()
        context = await self._tokenizer.prompt_ids(request.question)
        context += await self._steps(request.thinking, served)
        context += await self._tokenizer.ids(request.probe)
        answers = [await self._tokenizer.ids(answer) for answer in request.answers]
        if not answers or not all(answers):
            raise EngineError("an empty answer cannot be scored; give each problem an answer")
        self._room(context + max(answers, key=len), served)
        return await self._server.insist(lambda: self._score(context, answers))

    async def prompt_tokens(self, question: str) -> int:
        """How many tokens the prompt of this question takes (chat template included)."""
        return len(await self._tokenizer.prompt_ids(question))

    async def _way_to_score(self) -> str:
        """The way its log-probabilities are read, "" where it gives none."""
        await self._tokenizer.prompt_ids("1+1=")  # fails without a chat template
        try:
            return await self._server.insist(self._score.way)
        except (EngineRefused, EngineUnreachable):
            raise
        except EngineError:
            return ""

    async def _steps(self, steps: tuple[Step, ...], served: Served) -> Ids:
        """The steps in this model's ids."""
        ids: list[int] = []
        for step in steps:
            ids += own_ids(step, served.identity) or await self._tokenizer.ids(step.text)
        return tuple(ids)

    def _room(self, prompt: Ids, served: Served) -> int:
        """Tokens that may be sampled behind `prompt`: at least 1."""
        if len(prompt) >= served.context:
            raise ContextTooLong(
                f"{len(prompt)} tokens do not fit into the context of model "
                f"{self._server.model!r} on {self._server.url} ({served.context} tokens, one of "
                "them for output); start vLLM with a larger --max-model-len, or set a smaller "
                "search.max_tokens"
            )
        return served.context - len(prompt)

    def _choice(self, answer: Answer) -> tuple[str, Ids, FinishReason, str | None]:
        """(text, sampled ids, finish, stop string that was met) of the only choice."""
        try:
            (choice,) = answer["choices"]
            text = json_values.text(choice["text"])
            sampled = json_values.token_ids(choice["token_ids"])
            reason, stop = choice["finish_reason"], choice.get("stop_reason")
            if text is None or sampled is None or reason not in ("stop", "length"):
                raise TypeError
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._server.unusable(
                "answered without text, token ids or a reason to finish; cord needs vLLM 0.20 or "
                "newer"
            ) from None
        if reason == "length":
            return text, sampled, "length", None
        # A stop string is named; an end-of-sequence token is not, another stop token by its id.
        return (
            (text, sampled, "stop", stop) if isinstance(stop, str) else (text, sampled, "end", None)
        )


def _cached_tokens(answer: Answer, prompt: int) -> int | None:
    """Prompt tokens that the server's prefix cache held, of `prompt`. A server says so only when it
    was started with `--enable-prompt-tokens-details`."""
    usage = answer.get("usage")
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    cached = json_values.count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return cached if cached is not None and cached <= prompt else None
