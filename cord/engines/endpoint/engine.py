"""A model behind an OpenAI-compatible endpoint that takes and gives text: a teacher only.

It never scores: the chat interface gives no log-probabilities of a given text. A step is asked for
by a final assistant message that holds `<think>`, the steps so far and the opening of the next;
which way of asking the endpoint understands, and whether it really goes on instead of starting
over, is tried out when it is asked who it is: with no randomness, what it says behind the first
half of its own reply must be the second half.

Texts are all there is: no token ids (each request is tokenised by the endpoint anew), and seeds
where they are taken.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from cord.engines import (
    AnswerRequest,
    EngineInfo,
    FinishReason,
    Proposal,
    ProposalRequest,
    json_values,
)
from cord.engines.endpoint.chat_prefix import (
    PROBE_BEGUN,
    PROBE_QUESTION,
    WAYS,
    ChatPrefix,
    goes_on,
    starts_over,
)
from cord.engines.endpoint.chat_reply import joined, met_stop, usage_of
from cord.engines.vllm.availability import Patience
from cord.engines.vllm.server import Answer, VllmServer
from cord.errors import ContextTooLong, EngineError, EngineRefused, EngineUnreachable
from cord.prompts import INSTRUCTIONS, THINK_CLOSE
from cord.types import Step

USUAL_CONTEXT = 32_768
"""Tokens, where neither the recipe (`context:`) nor the endpoint's list of models says more."""
_CONTEXT_KEYS = ("max_model_len", "context_length", "max_context_length", "context_window")
_BYTES_A_TOKEN = 2.5  # a low guess: mathematics takes more tokens than prose
_LEAST_ROOM = 64
_PROBE_TOKENS = 32


class OpenAIEngine:
    """An `Engine` over an OpenAI-compatible endpoint. Safe from several loops and threads.

    `url` is the endpoint's base address, as its own clients take it (`https://host/v1`).
    `api_key_env` names the environment variable that holds its key. `context` is the model's, in
    tokens, where the endpoint does not say."""

    def __init__(
        self,
        url: str,
        model: str,
        api_key_env: str | None = None,
        instructions: str = INSTRUCTIONS,
        context: int | None = None,
        patience: Patience | None = None,
        connections: int = 256,
    ) -> None:
        self._server = VllmServer(
            url,
            model,
            api_key_env,
            patience or Patience(),
            connections,
            called="an OpenAI-compatible endpoint",
        )
        path = urlsplit(url).path.rstrip("/")
        self._version = "" if path and not path.endswith("/v1") else "/v1"
        self._instructions = instructions
        self._context = context
        self._way: ChatPrefix | None = None
        self._takes_seeds = True
        self._info: EngineInfo | None = None

    def __repr__(self) -> str:
        return f"OpenAIEngine({self._server.url!r}, {self._server.model!r})"

    async def describe(self) -> EngineInfo:
        """Say what model this is, having tried that it goes on with an answer that was begun.

        Raises `EngineError` where it does not."""
        if self._info is None:
            context = self._context or await self._listed_context()
            self._way = await self._find_way()
            self._info = EngineInfo(
                model=self._server.model,
                identity=f"openai:{self._server.model}",
                context=context,
                engine=f"openai ({self._way.name})",
                reproducible=False,
                scores=False,
            )
        return self._info

    async def propose(self, request: ProposalRequest) -> Proposal:
        """Sample one continuation. `token_ids` are not known. Raises `ContextTooLong`,
        `EngineError`."""
        info = await self.describe()
        assert self._way is not None
        begun = _text(request.steps) + request.opening
        instructions = request.instructions or self._instructions
        asked = self._way.request(request.question, instructions, begun)
        room = info.context - self._guess(request.question, begun)
        body = {
            **asked,
            "max_tokens": min(request.max_tokens, max(room, _LEAST_ROOM)),
            "temperature": request.temperature,
        }
        if request.top_p < 1:
            body["top_p"] = request.top_p
        if request.stop:
            body["stop"] = list(request.stop)
        if self._takes_seeds:
            body["seed"] = request.seed
        closed = THINK_CLOSE in begun
        started = time.monotonic()

        async def ask() -> tuple[Answer, str, FinishReason]:
            answer = await self._chat(body)
            return answer, *self._choice(answer, request.stop, closed)

        answer, text, finish = await self._server.insist(ask)
        seconds = time.monotonic() - started
        if request.opening and text[:1].isalpha():
            text = " " + text  # the endpoint stripped it
        prompt, sampled, cached = usage_of(answer)
        return Proposal(
            text=request.opening + text,
            token_ids=(),
            model=info.identity,
            tokens=sampled or self._guess(text),
            finish=finish,
            prompt_tokens=prompt or self._guess(request.question, begun),
            cached_tokens=cached,
            seconds=seconds,
        )

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """Never: raises `EngineError`."""
        raise self._server.error(
            "gives no log-probabilities of a given text, so it cannot score; name another "
            "meta_prover"
        )

    async def prompt_tokens(self, question: str) -> int:
        """How many tokens the prompt of this question takes, by the endpoint's own count; a guess
        where it does not count, or refuses the question as too long."""
        await self.describe()
        assert self._way is not None
        asked = self._way.request(question, self._instructions, PROBE_BEGUN)
        try:
            prompt, _, _ = usage_of(await self._chat({**asked, "max_tokens": 1, "temperature": 0}))
        except ContextTooLong:
            prompt = 0
        return prompt or self._guess(question)

    async def close(self) -> None:
        """Close the connections. The engine may be used again afterwards."""
        await self._server.close()

    async def _chat(self, body: Answer, patience_s: float | None = None) -> Answer:
        return await self._server.post(f"{self._version}/chat/completions", body, patience_s)

    async def _listed_context(self) -> int:
        """The model's context by the list of models, where there is one and it says."""
        first_contact_s = self._server.patience.first_contact_s
        try:
            listing = await self._server.get(f"{self._version}/models", first_contact_s)
        except EngineUnreachable:
            raise
        except EngineError:
            return USUAL_CONTEXT  # not every endpoint has one; the chat will say what is wrong
        entries = listing.get("data")
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and entry.get("id") == self._server.model:
                known = (json_values.count(entry.get(key)) for key in _CONTEXT_KEYS)
                return next((context for context in known if context), USUAL_CONTEXT)
        return USUAL_CONTEXT

    async def _find_way(self) -> ChatPrefix:
        """The first way of asking that the endpoint takes and goes on with."""
        refusals: list[str] = []
        for way in WAYS:
            try:
                if await self._goes_on(way):
                    return way
            except (EngineUnreachable, EngineRefused):
                raise
            except EngineError as error:
                refusals.append(str(error))
        if len(refusals) == len(WAYS):
            why = f"it refuses each way to ask for that; the first: {refusals[0]}"
        else:
            why = "it starts over instead of going on"
        raise EngineRefused(
            str(self._server.error(f"cannot continue a text that was begun: {why}."))
            + " So it cannot be a teacher; serve the model with vLLM, or use an endpoint that "
            "takes an assistant's prefix"
        )

    async def _goes_on(self, way: ChatPrefix) -> bool:
        whole = await self._probe(way, PROBE_BEGUN, _PROBE_TOKENS)
        if starts_over(whole):
            return False
        for tokens in (_PROBE_TOKENS // 4, _PROBE_TOKENS // 2):
            # Cut by the endpoint, so that the cut lies between two tokens.
            half = await self._probe(way, PROBE_BEGUN, tokens)
            if goes_on(whole, half, await self._probe(way, PROBE_BEGUN + half, _PROBE_TOKENS)):
                return True
        return False

    async def _probe(self, way: ChatPrefix, begun: str, tokens: int) -> str:
        """What the endpoint says behind `begun`, without randomness."""
        body = way.request(PROBE_QUESTION, self._instructions, begun)
        body |= {"max_tokens": tokens, "temperature": 0}
        first_contact_s = self._server.patience.first_contact_s
        try:
            answer = await self._chat(
                body | ({"seed": 0} if self._takes_seeds else {}), first_contact_s
            )
        except (EngineUnreachable, EngineRefused):
            raise
        except EngineError as error:
            if not self._takes_seeds or "seed" not in str(error):
                raise
            self._takes_seeds = False
            answer = await self._chat(body, first_contact_s)
        return self._choice(answer, (), closed=THINK_CLOSE in begun)[0]

    def _choice(
        self, answer: Answer, stop: Sequence[str], closed: bool
    ) -> tuple[str, FinishReason]:
        """(text, finish) of the only choice."""
        choices = answer.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        message = choice.get("message") if isinstance(choice, dict) else None
        text = joined(message, closed) if isinstance(message, dict) else None
        reason = choice.get("finish_reason") if isinstance(choice, dict) else None
        if text is None or reason not in ("stop", "length"):
            raise self._server.unusable(
                "answered without a text, or ended for a reason that is none "
                f"({json_values.shown(reason)})"
            )
        for string in stop:
            if string in text:  # some endpoints give it back
                return text.partition(string)[0], "stop"
        if reason == "length":
            return text, "length"
        return text, "stop" if met_stop(choice, stop, closed or THINK_CLOSE in text) else "end"

    def _guess(self, *texts: str) -> int:
        """About how many tokens texts take (with the instructions, where there are several)."""
        said = "".join(texts) + (self._instructions if len(texts) > 1 else "")
        return max(1, round(len(said.encode("utf-8", "replace")) / _BYTES_A_TOKEN))


def _text(steps: tuple[Step, ...]) -> str:
    return "".join(step.text for step in steps)
