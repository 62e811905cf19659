"""What the search needs of a model, and nothing more.

An *engine* is one model behind an interface. There are four rooms of them: `embedded` (in this
process), `vllm` (on a server), `managed` (on a server that cord starts), `endpoint` (anything
OpenAI-compatible); beside them stands what is around any engine: `seats`, `metering`. Models that
write nothing and only reward steps have an interface of their own (`rewarding`). An engine
does two things: it proposes the next step of a trajectory, and it reads the log-probabilities of
given answer tokens. One call is one request; engines batch many calls that are in flight together.
The search never sees token ids except as something to hand back: `Step.token_ids` are the author's
own ids, so that a prefix re-submitted to the same model is the very ids it sampled (re-tokenised
text loses prefix-cache hits) and any other model's ids are a pure function of the step's text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cord.types import Step

FinishReason = Literal["stop", "length", "end"]


@dataclass(frozen=True, slots=True)
class ProposalRequest:
    """Ask for the next step behind a prefix."""

    question: str
    steps: tuple[Step, ...]
    """The prefix."""
    opening: str
    """Text the step is made to begin with (`### Step 3.`); "" continues an unfinished step."""
    stop: tuple[str, ...]
    """Strings that end the step; they are not part of it."""
    max_tokens: int
    temperature: float
    seed: int
    top_p: float = 1.0
    instructions: str = ""
    """What is said in front of the question, in the place of the engine's own words; "": those."""
    urgency: int = 0
    """Where requests wait for a seat, the lower one goes first: the round it belongs to, counted
    from where its problem began (`cord.in_flight`), so that the problem that lags behind is served
    first. It changes nothing in the answer."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a teacher wrote."""

    text: str
    """Exact text, `opening` included, stop string excluded, end-of-sequence token excluded."""
    token_ids: tuple[int, ...]
    """`text` in this model's ids: the opening's ids, then the sampled ids that spell it."""
    model: str
    """`EngineInfo.identity` of the model whose ids these are."""
    tokens: int
    """How many tokens were sampled for it (stop and end tokens included: they were paid for)."""
    finish: FinishReason
    """`stop`: met a stop string; `end`: the model ended its turn; `length`: met `max_tokens`."""
    stopped_at: str = ""
    """The stop string that was met, where the engine says which."""
    prompt_tokens: int = 0
    """Tokens of the prompt, opening included."""
    cached_tokens: int | None = field(default=None, compare=False)
    """Of these, how many a prefix cache held; None where the engine does not say."""
    seconds: float = field(default=0.0, compare=False)
    """From asking to the answer, waiting for a seat not counted."""


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """Ask for log p(answer | question, steps, probe)."""

    question: str
    thinking: tuple[Step, ...]
    """The prefix; texts only up to where the thinking is closed. A step's `token_ids` are to be
    used where `step.model` is this engine's identity and they are not empty; else its text is
    tokenised by itself and appended."""
    probe: str
    """Text between thinking and answer; its own tokens do not count."""
    answers: tuple[str, ...]
    """Spellings to score, each on its own."""
    urgency: int = 0
    """As in `ProposalRequest`; the criterion knows the problem's own rounds only, so that scores,
    which are short and close a round, go before the proposals of a run that is under way."""


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself once it is up."""

    model: str
    """Model name, as recipes name it."""
    identity: str
    """A hash or name of the weights: enters the fingerprint, so that other weights never pass
    for these."""
    context: int
    """Largest number of tokens, prompt and output together."""
    engine: str
    """`embedded 5.23.0`, `vllm 0.32.0` ..."""
    reproducible: bool
    """The same seed gives the same tokens whatever else is in the batch."""
    scores: bool
    """It can return log-probabilities of given tokens, so it may be the meta-prover."""
    scoring: str = ""
    """The way it reads them, where there are several to choose from; "" where there are not."""


class Engine(Protocol):
    """One model. Safe to call from several event loops and threads at once."""

    async def describe(self) -> EngineInfo:
        """Say what model this is. Raises `EngineUnreachable` or `EngineError`."""
        ...

    async def propose(self, request: ProposalRequest) -> Proposal:
        """Sample one continuation. The same request (seed included) gives the same proposal where
        `EngineInfo.reproducible` holds. Raises `ContextTooLong`, `EngineError`."""
        ...

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """Natural-log probabilities, for each answer one value per answer token (M >= 1).
        Raises `ContextTooLong`, `EngineError`."""
        ...

    async def prompt_tokens(self, question: str) -> int:
        """How many tokens the prompt of this question takes (chat template included)."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
