"""What came of a cell, problem by problem, kept in the lake as `runs/RUN/measures.json`.

Whatever a variant decides by, it is measured by the same: the verdict on its answer, the
meta-prover's S along its path, and, where the problems allow it, whether every step is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from cord.engines import Engine
from cord.errors import ContextTooLong, LakeError
from cord.lake import Lake
from cord.miniature.fidelity import every_step_right
from cord.prompts import split_thinking
from cord.records import Judged
from cord.scoring.predictive import PredictivePerplexity
from cord.segmentation import segment
from cord.types import Problem, Step

AT_ONCE = 32
"""Problems measured at once."""


class Measured(BaseModel):
    """One problem's kept trajectory."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem_id: str
    correct: bool
    """It finished, and its answer was verified."""
    path: tuple[float, ...]
    """S of the empty prefix and after each step (`### Step`), whatever it was searched by."""
    teachers: tuple[str, ...]
    """The author of each step of the search."""
    faithful: bool | None
    """Every step is right; None where that cannot be checked."""
    tokens: int
    """Sampled for the problem, thrown-away ones included."""

    @property
    def score(self) -> float:
        """S of the whole."""
        return self.path[-1]


class Measures(BaseModel):
    """All of a cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problems: tuple[Measured, ...]
    quarantined: int
    """Problems that came to nothing; they count as wrong."""
    seconds: float | None
    """Decoding, a problem; None where an earlier run has decoded them."""


async def measure(
    judged: Sequence[tuple[Judged, int]], meta_prover: Engine, checks_steps: bool
) -> tuple[Measured, ...]:
    """Measure the best trajectories of a run, each given with the tokens of its whole search."""
    criterion = PredictivePerplexity(meta_prover)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(best: Judged, tokens: int) -> Measured:
        async with places:
            path = await _path(best, criterion)
        return Measured(
            problem_id=best.problem_id,
            correct=best.finished and best.outcome == "correct",
            path=path,
            teachers=best.teachers,
            faithful=every_step_right(best.question, best.text) if checks_steps else None,
            tokens=tokens,
        )

    return tuple(await asyncio.gather(*(one(best, tokens) for best, tokens in judged)))


async def _path(best: Judged, criterion: PredictivePerplexity) -> tuple[float, ...]:
    problem = Problem(best.problem_id, best.question, best.answer)
    thinking, _ = split_thinking(best.text)
    steps = [_step(text) for text in segment(thinking, "prompt-guided")]
    prefixes = [tuple(steps[:count]) for count in range(len(steps) + 1)]
    path = []
    for prefix in prefixes:  # one after another: each finds the one before in the prefix cache
        try:
            path.append(await criterion.score(problem, prefix, ""))
        except ContextTooLong:
            break
    return tuple(path)


def _step(text: str) -> Step:
    return Step(text, "", (), (), "", 0, 0.0, 0.0)


def measures_key(run_id: str) -> str:
    """Where a run's measures lie."""
    return f"runs/{run_id}/measures.json"


def load_measures(lake: Lake, run_id: str) -> Measures | None:
    """A cell's measures, or None while it has none. Raises `LakeError` where they are damaged."""
    content = lake.store.read(measures_key(run_id))
    if content is None:
        return None
    try:
        return Measures.model_validate_json(content)
    except ValueError:
        raise LakeError(
            f"{measures_key(run_id)} in the lake is damaged, or of another version of cord; remove "
            "it: the cell is then measured again"
        ) from None


def save_measures(lake: Lake, run_id: str, measures: Measures) -> None:
    """Keep them."""
    lake.store.write(measures_key(run_id), (measures.model_dump_json() + "\n").encode())
