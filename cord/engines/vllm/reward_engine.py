"""A reward model on a vLLM server (`--runner pooling`), asked over `/pooling`.

Two kinds are known, told apart by the tokenizer and by what the server answers:

- one whose vocabulary has `<extra_0>` (Qwen2.5-Math-PRM): it reads the layout that
  `cord.engines.embedded.reward_model` describes, and answers with the two classes' probabilities at
  each `<extra_0>`, or, pooling all tokens, at each token: the last one's second class counts;
- any other: it reads the chat with the steps as the assistant's whole message, and the last (or
  only) vector of the answer counts, a number in [0, 1], or probabilities of *wrong* and *right*.

Probabilities are vLLM's own (`use_activation`): a softmax of two classes, the logistic function of
one. The whole prefix is read each time: vLLM uses no prefix cache where each token counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from cord.engines import EngineInfo, json_values
from cord.engines.rewarding import RewardRequest
from cord.engines.suspects import Suspects
from cord.engines.vllm.model import VllmModel
from cord.engines.vllm.server import Answer, Patience
from cord.engines.vllm.tokens import Ids
from cord.errors import ContextTooLong
from cord.prompts import REWARD_INSTRUCTIONS, STEP_REWARD_TOKEN

_PATH = "/pooling"
_PROBE = RewardRequest("What is 1+1?", ("1+1=2.", "So the answer is 2."))


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What the model reads."""

    ids: Ids
    marks: int
    """How many `<extra_0>` stand in it; 0: it is read as a whole."""


class VllmRewardEngine(VllmModel):
    """A `RewardEngine` over a vLLM server. The arguments are `VllmModel`'s."""

    def __init__(
        self,
        url: str,
        model: str,
        api_key_env: str | None = None,
        patience: Patience | None = None,
        connections: int = 256,
        identity: str = "",
        suspects: Suspects | None = None,
    ) -> None:
        super().__init__(
            url, model, api_key_env, REWARD_INSTRUCTIONS, patience, connections, identity, suspects
        )
        self._mark: tuple[int | None] | None = None

    async def describe(self) -> EngineInfo:
        """Say what model this is, having tried that it rewards steps."""
        served = await self._ask_who(self._server.patience.first_contact_s)
        await self.step_reward(_PROBE)
        marked = await self._mark_id() is not None
        return EngineInfo(
            model=self._server.model,
            identity=served.identity,
            context=served.context,
            engine=f"vllm {served.version}",
            reproducible=False,  # nobody has shown that this server's batches do not matter
            scores=False,
            scoring=f"a reward at each {STEP_REWARD_TOKEN}" if marked else "a reward of the whole",
        )

    async def step_reward(self, request: RewardRequest) -> float:
        """The last step's reward. Raises `ContextTooLong`, `EngineError`."""
        served = await self._ask_who()
        prompt = await self._prompt(request)
        if len(prompt.ids) > served.context:
            raise ContextTooLong(
                f"{len(prompt.ids)} tokens do not fit into the context of reward model "
                f"{self._server.model!r} on {self._server.url} ({served.context} tokens); set a "
                "smaller search.max_tokens, or use a reward model that reads more"
            )
        body = {"input": prompt.ids, "use_activation": True}

        async def ask() -> float:
            return self._reward(await self._server.post(_PATH, body), prompt)

        return await self._server.insist(ask)

    async def _mark_id(self) -> int | None:
        """The id of `<extra_0>`; None where it is no token of this model's."""
        if self._mark is None:
            self._mark = (await self._tokenizer.special_id(STEP_REWARD_TOKEN),)
        return self._mark[0]

    async def _prompt(self, request: RewardRequest) -> _Prompt:
        mark = await self._mark_id()
        if mark is None:
            whole = "\n\n".join(request.steps)
            return _Prompt(await self._tokenizer.whole_chat_ids(request.question, whole), 0)
        ids = list(await self._tokenizer.chat_ids(request.question))
        for step in request.steps:
            ids += (*await self._tokenizer.ids(step), mark)
        return _Prompt(tuple(ids), len(request.steps))

    def _reward(self, answer: Answer, prompt: _Prompt) -> float:
        """The reward in an answer. Raises `EngineError`."""
        vectors = _vectors(answer)
        if vectors is None:
            raise self._server.unusable("answered /pooling without numbers")
        if not vectors or (prompt.marks and len(vectors) not in (prompt.marks, len(prompt.ids), 1)):
            raise self._server.error(
                f"gave {len(vectors)} rewards for {prompt.marks} steps; start vLLM with "
                '--pooler-config \'{"tok_pooling_type": "ALL"}\''
            )
        last = vectors[-1]
        if len(last) > 2 or not all(0 <= value <= 1 for value in last):
            raise self._server.error(
                f"is no reward model that cord can read: its answer ends in {len(last)} numbers "
                f"({json_values.shown(last)}), where one in [0, 1] or two probabilities are wanted"
            )
        return last[-1]


def _vectors(answer: Answer) -> list[list[float]] | None:
    """The vectors in an answer of `/pooling`, of one sequence or of its tokens; None where there
    are none."""
    try:
        data = answer["data"][0]["data"]
    except (KeyError, IndexError, TypeError):
        return None
    rows = data if isinstance(data, list) and all(isinstance(row, list) for row in data) else [data]
    return rows if all(_numbers(row) for row in rows) else None


def _numbers(row: object) -> bool:
    return isinstance(row, list) and bool(row) and all(type(n) in (int, float) for n in row)
