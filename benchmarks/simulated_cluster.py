"""A cluster that takes virtual time: facts.md's workload, for `benchmarks.scheduler`.

Teachers with 64 slots each and 30 ms a token, steps of log-normal length (mean 200 tokens, sigma
0.8); the meta-prover has a server of its own and takes 0.2 s a candidate. A step's length hangs on
its request's seed alone. The scheduler, the search, the criterion and the seats are cord's own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from cord.engines import AnswerRequest, EngineInfo, Proposal, ProposalRequest
from cord.engines.seats import SeatedEngine, Seats
from cord.recipe import SearchSettings
from cord.scheduler import decode_problems
from cord.scoring.predictive import PredictivePerplexity
from cord.search import Seat
from cord.types import Decoding, Problem

SLOTS = 64
TOKEN_S = 0.030
SCORE_S = 0.2
SIGMA = 0.8
LOG_TOKENS = NormalDist(math.log(200) - SIGMA**2 / 2, SIGMA)
CLOSING = "\n</think>\n\nThe final answer is \\boxed{42}"


@dataclass(frozen=True)
class Workload:
    """What is decoded, and how."""

    teachers: int = 3
    width: int = 4
    steps: int = 25
    max_step_tokens: int = 1_000_000
    quorum: float = 1.0
    laggards_first: bool = True
    lock_step: bool = False
    """No round begins before all problems have ended the one before."""

    def asked(self, index: int) -> int:
        """Proposals of one problem in round `index`, while no two say the same."""
        beam = 1
        for _ in range(index):
            beam = min(self.width, beam * self.teachers)
        return self.teachers * beam


@dataclass(frozen=True)
class Ran:
    """What one simulated run gave."""

    seconds: float
    """Virtual, from the first request to the last answer."""
    work_s: float
    """Slot-seconds that the teachers were at work, broken-off work included."""
    candidates: int
    slots: int

    @property
    def busy(self) -> float:
        """Share of the teachers' slot-seconds, over the whole run."""
        return self.work_s / (self.seconds * self.slots)


class RoundGate:
    """Holds the requests of a round back until all problems' requests of it are there."""

    def __init__(self, workload: Workload, problems: int) -> None:
        self._workload, self._problems = workload, problems
        self._come: dict[int, int] = {}
        self._whole: dict[int, asyncio.Event] = {}

    async def whole(self, index: int) -> None:
        """Wait until round `index` is whole."""
        event = self._whole.setdefault(index, asyncio.Event())
        self._come[index] = self._come.get(index, 0) + 1
        if self._come[index] == self._problems * self._workload.asked(index):
            event.set()
        await event.wait()


class SimulatedServer:
    """An engine that takes as long as its tokens, and counts how long it was at work."""

    def __init__(self, name: str, steps: int) -> None:
        self._name, self._steps = name, steps
        self._scored = 0
        self.work_s = 0.0

    async def describe(self) -> EngineInfo:
        """Its name."""
        return EngineInfo(self._name, self._name, 1 << 20, "simulated", True, True)

    async def propose(self, request: ProposalRequest) -> Proposal:
        """A step; the last one states the answer."""
        drawn = LOG_TOKENS.inv_cdf((request.seed + 1) / (2**63 + 1))
        tokens = min(max(1, round(math.exp(drawn))), request.max_tokens)
        clock = asyncio.get_running_loop()
        begun = clock.time()
        try:
            await asyncio.sleep(tokens * TOKEN_S)
        finally:  # also where it is broken off
            self.work_s += clock.time() - begun
        last = len(request.steps) >= self._steps - 1
        text = f"{request.opening} {request.seed}{CLOSING if last else '.'}"
        return Proposal(text, (), self._name, tokens, "end" if last else "stop")

    async def answer_logprobs(self, request: AnswerRequest) -> Sequence[tuple[float, ...]]:
        """Another value each time, spread over (-1, 0)."""
        await asyncio.sleep(SCORE_S)
        self._scored += 1
        return [(-((self._scored * 0.6180339887) % 1.0),) for _ in request.answers]

    async def prompt_tokens(self, question: str) -> int:
        """As many as words."""
        return len(question.split())

    async def close(self) -> None:
        """It holds nothing."""


class ScheduledTeacher(SeatedEngine):
    """A server with its seats, asked in the way that the workload says."""

    def __init__(self, server: SimulatedServer, workload: Workload, gate: RoundGate) -> None:
        super().__init__(server, Seats(SLOTS))
        self._workload, self._gate = workload, gate

    async def propose(self, request: ProposalRequest) -> Proposal:
        """As `SeatedEngine`, after the round's gate or without the round's urgency if so wished."""
        if self._workload.lock_step:
            await self._gate.whole(request.urgency)
        if not self._workload.laggards_first:
            request = replace(request, urgency=0)
        return await super().propose(request)


async def simulate(problems: int, in_flight: int, workload: Workload) -> Ran:
    """Decode so many problems with cord's scheduler. Runs on a virtual clock."""
    gate = RoundGate(workload, problems)
    servers = [SimulatedServer(f"t{i}", workload.steps) for i in range(workload.teachers)]
    teachers = [
        Seat(f"t{i}", ScheduledTeacher(server, workload, gate), 0.6)
        for i, server in enumerate(servers)
    ]
    meta_prover = SeatedEngine(SimulatedServer("meta-prover", workload.steps), Seats(10_000))
    settings = SearchSettings(
        width=workload.width,
        max_steps=10_000,
        max_tokens=1_000_000,
        max_step_tokens=workload.max_step_tokens,
        quorum=workload.quorum,
    )
    candidates = 0
    ended = decode_problems(
        _questions(problems), teachers, PredictivePerplexity(meta_prover), settings, 7, in_flight
    )
    async for done in ended:
        assert isinstance(done, Decoding), done
        assert done.trajectories[0].finished
        candidates += sum(len(decided.candidates) for decided in done.rounds)
    seconds = asyncio.get_running_loop().time()
    work_s = sum(server.work_s for server in servers)
    return Ran(seconds, work_s, candidates, SLOTS * workload.teachers)


def _questions(number: int) -> Iterator[Problem]:
    for i in range(number):
        yield Problem(f"p{i:06d}", "What is the answer?", "42")
