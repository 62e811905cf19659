"""What cord itself costs: scored candidates a second on one core, with engines that answer at once.

    python -m benchmarks.overhead [--quick] [--json]

64 problems (8 with `--quick`), all in flight, through the real scheduler, search, seats and
criterion: 3 teachers, B = 4, 25 steps of 200 tokens (800 characters), predictive perplexity; then
a quarter of them with 100 steps (20,000 tokens), since a longer prefix is more to look at. Only the
engines are stand-ins: they hand out a prepared step and made-up log-probabilities. The core's time
is the process's own CPU time, so that what else the machine does is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure, at_least, report
from cord.engines import AnswerRequest, EngineInfo, Proposal, ProposalRequest
from cord.engines.seats import SeatedEngine, Seats
from cord.recipe import SearchSettings
from cord.scheduler import decode_problems
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat
from cord.types import Decoding, Problem

STEP_TOKENS = 200
TEACHERS = ("ada", "ben", "cyd")
SETTINGS = SearchSettings(width=4, max_steps=200, max_tokens=100_000)
_SENTENCE = "Let us write the left side as a sum of squares and compare it with what we had. "
BODY = (_SENTENCE * 10)[:780] + "\n"
CLOSING = " So this is it.\n</think>\n\nThe final answer is \\boxed{42}"


class AtOnce:
    """An engine that takes no time: prepared steps, made-up log-probabilities."""

    def __init__(self, name: str, steps: int) -> None:
        self._name, self._steps = name, steps
        self._ids = tuple(range(1000, 1000 + STEP_TOKENS))
        self._scored = 0

    async def describe(self) -> EngineInfo:
        """Its name."""
        return EngineInfo(self._name, self._name, 1 << 20, "at once", True, True)

    async def propose(self, request: ProposalRequest) -> Proposal:
        """A step of its own for each seed; the last one states the answer."""
        last = len(request.steps) == self._steps - 1
        text = f"{request.opening} Idea {request.seed}. {CLOSING if last else BODY}"
        return Proposal(text, self._ids, self._name, STEP_TOKENS, "end" if last else "stop")

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """Two answer tokens; another value each time, spread over (-1, 0)."""
        self._scored += 1
        value = -((self._scored * 0.6180339887) % 1.0)
        return [(value, value / 2) for _ in request.answers]

    async def prompt_tokens(self, question: str) -> int:
        """As many as words."""
        return len(question.split())

    async def close(self) -> None:
        """It holds nothing."""


@dataclass(frozen=True)
class Spent:
    """What a run took."""

    candidates: int
    cpu_s: float
    wall_s: float


async def decode_all(problems: int, steps: int) -> Spent:
    """Decode so many problems in so many steps each, and count the scored candidates."""

    def engine(name: str) -> SeatedEngine:
        return SeatedEngine(AtOnce(name, steps), Seats(128))

    teachers = [Seat(name, engine(name), 0.6) for name in TEACHERS]
    criterion = PredictivePerplexity(engine("meta-prover"))
    questions = [
        Problem(f"p{i:04d}", f"What is the {i}th number of this kind?", "42")
        for i in range(problems)
    ]
    candidates = 0
    wall, cpu = time.perf_counter(), time.process_time()
    ended = decode_problems(questions, teachers, criterion, SETTINGS, 7, in_flight=problems)
    async for done in ended:
        assert isinstance(done, Decoding), done
        assert len(done.rounds) == steps
        candidates += sum(len(decided.candidates) for decided in done.rounds)
    return Spent(candidates, time.process_time() - cpu, time.perf_counter() - wall)


def main() -> None:
    """Print the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="8 problems instead of 64")
    parser.add_argument("--json", action="store_true", help="figures as JSON on the last line")
    options = parser.parse_args()
    problems = 8 if options.quick else 64
    figures: list[Figure] = []
    for steps, count in ((25, problems), (100, problems // 4)):
        spent = asyncio.run(decode_all(count, steps))
        print(
            f"{count} problems of {steps} steps: {spent.candidates} candidates scored in "
            f"{spent.cpu_s:.2f} s of CPU time ({spent.wall_s:.2f} s by the clock)"
        )
        rate, name = spent.candidates / spent.cpu_s, f"scored candidates a second, {steps} steps"
        figures.append(at_least(name, rate, 1500.0, "candidates/s of one core"))
    report(figures, options.json)


if __name__ == "__main__":
    main()
