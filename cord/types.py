"""The nouns of the factory. Everything inside cord is one of these frozen dataclasses.

    Problem ──> Shard ──> Step, Step, ... ──> Trajectory ──> Verdict ──> Record ──> Release

Data flows one way. A `Candidate` is a proposed step with its score, kept or not; a `Trajectory` is
the problem's steps so far. Texts are exact: the concatenated step texts *are* the thinking.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

Outcome = Literal["correct", "wrong", "undecided"]
Domain = Literal["math", "numeric", "choice", "yes-no-maybe", "span", "tatqa", "code", "judge"]
"""What kind of answer a problem has, and so how one is judged (`cord.verification`)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A question whose answer is known."""

    id: str
    question: str
    answer: str
    """The reference answer, as the record will carry it."""
    alternatives: tuple[str, ...] = ()
    """Other spellings of the same answer; the best-scored one counts (method.md, part 2)."""
    source: str = ""
    """Where it was read: `file:line` or `dataset:row`."""
    domain: Domain | None = None
    """Where it has one of its own; else the recipe's."""

    @property
    def answers(self) -> tuple[str, ...]:
        """Every accepted spelling, the reference first."""
        return (self.answer, *self.alternatives)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row or problem that was set aside, with the reason. Nothing is dropped silently."""

    stage: Literal[
        "read", "problems", "decode", "verify", "records", "deduplicate", "decontaminate"
    ]
    reason: str
    """One clear sentence."""
    problem_id: str = ""
    """Empty where the row has no usable id."""
    source: str = ""
    """`file:line` or `dataset:row`."""
    content: str = ""
    """The row as it was, as text (shortened to 10,000 characters)."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The unit of retry and of commit: a few problems that are decoded together."""

    index: int
    problem_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One accepted step of a trajectory."""

    text: str
    """Exact text, header `### Step n.` included, up to (not including) the next header. A
    finishing step also carries `</think>` and the stated answer."""
    teacher: str
    """Name of the (first) teacher that wrote it."""
    authors: tuple[str, ...]
    """Every teacher that proposed this very text in this round, in recipe order."""
    token_ids: tuple[int, ...]
    """The text in the ids of the author's own tokenizer: what it sampled, header included.
    Empty when they are not known; an engine then tokenises the text."""
    model: str
    """`EngineInfo.identity` of the author's model: whose ids `token_ids` are."""
    tokens: int
    """Tokens that were sampled for it (the forced header not counted)."""
    score: float
    """The criterion's value after this step; for predictive perplexity S in (0, 1]."""
    gain: float
    """log S_t - log S_(t-1): what this step did for the answer (method.md, part 2)."""
    complete: bool = True
    """False when the step met the token cap: the next round goes on with the same step."""
    leads_to: str = ""
    """What the next step opens with, where the step itself decides that (`cord.search.cutting`)."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A problem's reasoning so far: the shared prefix that every teacher continues."""

    steps: tuple[Step, ...] = ()
    start_score: float = 1.0
    """Score of the empty prefix, from which the first gain is counted."""
    finished: bool = False
    """It has closed its thinking and stated an answer."""
    answer: str | None = None
    """The stated answer, when finished."""

    @property
    def text(self) -> str:
        """The concatenated steps: everything after `<think>\\n`."""
        return "".join(step.text for step in self.steps)

    @property
    def score(self) -> float:
        """Score of the last step, or of the empty prefix."""
        return self.steps[-1].score if self.steps else self.start_score

    @property
    def tokens(self) -> int:
        """Sampled tokens on this path."""
        return sum(step.tokens for step in self.steps)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one proposal, or several together, cost. Costs add up."""

    proposals: int = 0
    tokens: int = 0
    """Sampled."""
    prompt_tokens: int = 0
    """Read in front of them, out of a prefix cache or not."""
    cached_tokens: int | None = field(default=None, compare=False)
    """Of `prompt_tokens`, those that a prefix cache held; None where the engine does not say."""
    seconds: float = field(default=0.0, compare=False)
    """From asking to the answer, waiting for a seat not counted."""

    def __add__(self, other: Cost) -> Cost:
        known = [c for c in (self.cached_tokens, other.cached_tokens) if c is not None]
        return Cost(
            self.proposals + other.proposals,
            self.tokens + other.tokens,
            self.prompt_tokens + other.prompt_tokens,
            sum(known) if known else None,
            self.seconds + other.seconds,
        )


NO_COST = Cost()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One scored proposal: a step on the trajectory at place `beam` of the round's beam."""

    beam: int
    """Place of the prefix in the beam, 0 = best."""
    step: Step
    finished: bool = False
    answer: str | None = None
    kept: bool = False
    """It is in the beam of the next round."""
    cost: Cost = NO_COST
    """What the proposal cost; of several with the same text, the first one's."""

    def marked(self, kept: bool) -> Candidate:
        """The same candidate, decided."""
        return replace(self, kept=kept)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of the search decided: every proposal with its score, and which live on."""

    index: int
    candidates: tuple[Candidate, ...]
    rejected: tuple[tuple[str, str], ...] = ()
    """(teacher, reason) of proposals that could not become candidates: an empty step, say."""
    costs: tuple[tuple[str, Cost], ...] = ()
    """(teacher, cost of all its proposals in this round), rejected and merged ones included."""
    missing: tuple[str, ...] = ()
    """Teachers that could not be reached, where the run goes on without them."""

    @property
    def proposed_tokens(self) -> int:
        """Tokens sampled in this round, thrown-away ones included."""
        return sum(cost.tokens for _, cost in self.costs)


@dataclass(frozen=True, slots=True)
class Progress:
    """What the search of one problem has decided so far: with it, it goes on where it was."""

    start_score: float
    """Score of the empty prefix."""
    rounds: tuple[Round, ...]
    """From the first on, none missing."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """The whole search of one problem."""

    problem: Problem
    trajectories: tuple[Trajectory, ...]
    """The last beam, finished ones first, then by score; index = rank."""
    rounds: tuple[Round, ...]
    seconds: float = field(default=0.0, compare=False)

    @property
    def proposed_tokens(self) -> int:
        """Tokens sampled for this problem, thrown-away ones included."""
        return sum(round.proposed_tokens for round in self.rounds)

    @property
    def costs(self) -> dict[str, Cost]:
        """What each teacher's proposals cost, thrown-away ones included."""
        costs: dict[str, Cost] = {}
        for round_ in self.rounds:
            for teacher, cost in round_.costs:
                costs[teacher] = costs.get(teacher, NO_COST) + cost
        return costs

    @property
    def missing(self) -> tuple[str, ...]:
        """Teachers that were missing in at least one round, by name."""
        return tuple(sorted({teacher for round_ in self.rounds for teacher in round_.missing}))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer is right. Undecided is never counted as either."""

    outcome: Outcome
    method: str
    """What judged: `math-verify`, `exact`, `none` ..."""
    reason: str
    """One sentence that a person can check."""


@dataclass(frozen=True, slots=True)
class Record:
    """One training example, with where it came from."""

    problem_id: str
    question: str
    answer: str
    messages: tuple[dict[str, str], ...]
    """[{role: user, content: question}, {role: assistant, content: <think>...</think>...}]"""
    teachers: tuple[str, ...]
    """The author of each step, in order."""
    steps: int
    tokens: int
    score: float
    run_id: str
