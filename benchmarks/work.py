"""The work that every contestant of `benchmarks.peers` is given, and what each says of its own.

Needs no package: a peer that lives in an environment of its own reads it too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

STEP_HEADER = "### Step"


@dataclass(frozen=True)
class Task:
    """One problem, for clients that send text and for those that send a chat."""

    question: str
    answer: str
    prompt: str
    """Chat template rendered, up to where the first step begins."""


@dataclass(frozen=True)
class Work:
    """A beam search over steps for each task: in each of `rounds` rounds `teachers` proposals
    behind each prefix of the beam, which grows to `width`."""

    tasks: tuple[Task, ...]
    instructions: str
    """System message."""
    probe: str
    """Between a trajectory that ends with a line and the answer that is scored."""
    width: int
    teachers: int
    rounds: int
    most_step_tokens: int
    temperature: float

    @property
    def proposals(self) -> int:
        """In all."""
        beam, total = 1, 0
        for _ in range(self.rounds):
            total += beam * self.teachers
            beam = min(self.width, beam * self.teachers)
        return len(self.tasks) * total

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(content: dict[str, object]) -> Work:
        """Of JSON."""
        tasks = content.pop("tasks")
        assert isinstance(tasks, list)
        return Work(tasks=tuple(Task(**task) for task in tasks), **content)  # type: ignore[arg-type]


def probed(work: Work, task: Task, trajectory: str) -> str:
    """The text whose last tokens are the answer that is scored."""
    newline = "" if not trajectory or trajectory.endswith("\n") else "\n"
    return task.prompt + trajectory + newline + work.probe + task.answer


@dataclass(frozen=True)
class Outcome:
    """What one contestant did, in its own words."""

    seconds: float
    proposals: int
    tokens: int | None = None
    """Sampled for the proposals; None where it cannot say, and the server is asked."""
    scored: int = 0
    """Candidates scored, each by a request that sampled one token."""
