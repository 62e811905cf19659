"""The nouns of the factory. Everything inside cord is one of these frozen dataclasses.

    Problem ──> Shard ──> Step, Step, ... ──> Trajectory ──> Verdict ──> Record ──> Release

Data flows one way. A `Candidate` is a proposed step with its score, kept or not; a `Trajectory` is
the problem's steps so far. Texts are exact: the concatenated step texts *are* the thinking.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["correct", "wrong", "undecided"]
Domain = Literal["math", "numeric", "choice", "span", "code", "judge"]


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

    @property
    def answers(self) -> tuple[str, ...]:
        """Every accepted spelling, the reference first."""
        return (self.answer, *self.alternatives)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row or problem that was set aside, with the reason. Nothing is dropped silently."""

    stage: Literal["read", "problems", "decode", "verify", "deduplicate", "records"]
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
class Candidate:
    """One scored proposal: a step on the trajectory at place `beam` of the round's beam."""

    beam: int
    """Place of the prefix in the beam, 0 = best."""
    step: Step
    finished: bool = False
    answer: str | None = None
    kept: bool = False
    """It is in the beam of the next round."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of the search decided: every proposal with its score, and which live on."""

    index: int
    candidates: tuple[Candidate, ...]
    rejected: tuple[tuple[str, str], ...] = ()
    """(teacher, reason) of proposals that could not become candidates: an empty step, say."""
    proposed_tokens: int = 0
    """Tokens sampled in this round, thrown-away ones included."""


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
