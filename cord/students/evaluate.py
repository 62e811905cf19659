"""Pass@1 of a model on a benchmark: sample whole answers, judge each, keep each.

`evaluate` needs an engine and nothing else: without a lake it keeps nothing, so that a flow may
measure dozens of small models in one process. With one, what is sampled is in the lake within
seconds, and whatever ends the process, the same call samples only what is missing.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from cord.engines import Engine, ProposalRequest
from cord.engines.suspects import asking_for
from cord.errors import EngineError, EngineRefused, EngineUnreachable
from cord.fingerprint import fingerprint
from cord.intervals import pass_at_1
from cord.lake import Lake
from cord.lake.evaluations import Row, Series
from cord.prompts import PLAIN_INSTRUCTIONS
from cord.scheduler import Stopped
from cord.seeds import request_seed
from cord.students.recipe import Benchmark
from cord.types import Problem, Verdict
from cord.verification import verify
from cord.verification.math import find_answer

IN_FLIGHT = 64
DOMAINS = {"math": "math", "choice": "choice", "pubmedqa": "choice", "tatqa": "tatqa"}
"""Rule of a benchmark to the domain of `cord.verification` that judges it."""
LOOK_S = 0.5
"""How often it is looked whether a stop is asked for."""
MOST_FAILED = 0.5
"""Share of answers that may fail in the engine before it is held against the engine."""

Watch = Callable[[int], None]
"""Called for each new answer, with its tokens."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one model came to on one benchmark."""

    model: str
    benchmark: str
    pass_at_1: float
    low: float
    """95 % bootstrap interval over problems."""
    high: float
    problems: int
    samples: int
    """Of each problem."""
    mean_tokens: float
    """Of an answer, its reasoning included."""
    cut: int
    """Answers that did not end within `max_tokens`."""
    unanswered: int
    """Answers that stated nothing."""
    undecided: int
    """Answers that could not be judged; they count as not correct."""
    sampled: int
    """Answers that were sampled now; the others were in the lake."""

    def to_json(self) -> dict[str, Any]:
        """As `--json` shows it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A result, and all that it rests on."""

    result: Result
    rows: tuple[Row, ...]
    """One for each (problem, sample), columns of `cord.lake.evaluations.EVALUATIONS`."""

    def correct(self) -> list[list[bool]]:
        """By problem, in their order, and sample: what `paired_interval` compares."""
        return list(_by_problem(self.rows).values())

    def shares(self) -> dict[str, float]:
        """By problem (its fingerprint), the share of its samples that is correct."""
        found = _by_problem(self.rows)
        return {name: sum(samples) / len(samples) for name, samples in found.items()}


def series_key(identity: str, instructions: str, benchmark: Benchmark, seed: int) -> str:
    """Names everything that decides the answers to a problem but the problem itself."""
    asked = {name: getattr(benchmark, name) for name in ("temperature", "top_p", "max_tokens")}
    judged = {"rule": DOMAINS[benchmark.rule]}
    return fingerprint(
        {"model": identity, "instructions": instructions, "seed": seed, **asked, **judged}
    )


async def evaluate(
    engine: Engine,
    name: str,
    benchmark: Benchmark,
    problems: Sequence[Problem],
    seed: int = 0,
    instructions: str = PLAIN_INSTRUCTIONS,
    lake: Lake | None = None,
    in_flight: int = IN_FLIGHT,
    watch: Watch = lambda _: None,
    stop: threading.Event | None = None,
) -> Evaluated:
    """Measure the model behind `engine`, opened with `instructions`, as `name`.

    Raises `EngineError` where the model cannot be asked, `LakeError`, `Stopped` once `stop` is
    set; what is sampled by then is in the lake."""
    info = await engine.describe()
    key = series_key(info.identity, instructions, benchmark, seed)
    series = Series(lake, key) if lake is not None else None
    known: dict[tuple[str, int], Row] = {}
    if series is not None:
        found = await asyncio.to_thread(series.rows)
        known = {(row["problem"], row["sample"]): row for row in found}
    common = {"model": name, "identity": info.identity, "benchmark": benchmark.name, "key": key}
    wanted = [
        (problem, _named(problem), sample)
        for problem in problems
        for sample in range(benchmark.samples)
    ]
    places = asyncio.Semaphore(in_flight)
    failed: list[EngineError] = []
    waiting: list[Row] = []

    async def one(problem: Problem, problem_key: str, sample: int) -> None:
        async with places:
            if stop is not None and stop.is_set():
                raise Stopped("stopped on request")
            with asking_for(problem):
                try:
                    row = await _answer(engine, benchmark, problem, sample, seed)
                except (EngineUnreachable, EngineRefused):
                    raise
                except EngineError as error:
                    failed.append(error)
                    row = _unanswered(error)
        row |= {
            **common,
            "problem": problem_key,
            "problem_id": problem.id,
            "sample": sample,
            "question": problem.question,
            "reference": problem.answer,
        }
        watch(row["tokens"])
        known[problem_key, sample] = row
        if row["finish"] != "failed":
            waiting.append(row)

    missing = [asked for asked in wanted if asked[1:] not in known]
    async with _kept(series, waiting):
        await _all([one(*asked) for asked in missing], stop)
    if failed and len(failed) > MOST_FAILED * len(missing):
        raise EngineError(
            f"{name} on {benchmark.name}: {len(failed)} of {len(missing)} answers failed: "
            f"{failed[0]}"
        )
    rows = tuple(known[asked[1:]] for asked in wanted)
    return Evaluated(summed_up(name, benchmark, rows, len(missing), seed), rows)


def complete(
    identity: str,
    name: str,
    benchmark: Benchmark,
    problems: Sequence[Problem],
    seed: int,
    instructions: str,
    lake: Lake,
) -> Evaluated | None:
    """What the lake has, where `evaluate` would sample nothing for the model of that identity;
    else None. Raises `LakeError`."""
    series = Series(lake, series_key(identity, instructions, benchmark, seed))
    known = {(row["problem"], row["sample"]): row for row in series.rows()}
    wanted = [(_named(p), sample) for p in problems for sample in range(benchmark.samples)]
    if any(asked not in known for asked in wanted):
        return None
    rows = tuple(known[asked] for asked in wanted)
    return Evaluated(summed_up(name, benchmark, rows, 0, seed), rows)


def summed_up(
    name: str, benchmark: Benchmark, rows: Sequence[Row], sampled: int, seed: int = 0
) -> Result:
    """The result that these answers make; the bootstrap is drawn by `seed`."""
    by_problem = _by_problem(rows)
    measured = pass_at_1(list(by_problem.values()), seed)
    counts = Counter(row["finish"] for row in rows)
    return Result(
        model=name,
        benchmark=benchmark.name,
        pass_at_1=measured.mean,
        low=measured.low,
        high=measured.high,
        problems=len(by_problem),
        samples=benchmark.samples,
        mean_tokens=sum(row["tokens"] for row in rows) / len(rows),
        cut=counts["length"],
        unanswered=sum(row["answer"] is None for row in rows),
        undecided=sum(row["outcome"] == "undecided" for row in rows),
        sampled=sampled,
    )


async def _answer(
    engine: Engine, benchmark: Benchmark, problem: Problem, sample: int, seed: int
) -> Row:
    """One whole answer, judged."""
    proposal = await engine.propose(
        ProposalRequest(
            question=problem.question,
            steps=(),
            opening="",
            stop=(),
            max_tokens=benchmark.max_tokens,
            temperature=benchmark.temperature,
            seed=request_seed(seed, f"{problem.id}\x1f{problem.question}", sample, 0, "evaluate"),
            top_p=benchmark.top_p,
        )
    )
    answer = find_answer(proposal.text)
    if proposal.finish == "length":
        verdict = Verdict("wrong", "none", "the answer did not end within max_tokens")
    else:
        domain = DOMAINS[benchmark.rule]
        verdict = await asyncio.to_thread(verify, domain, proposal.text, problem.answers)
    return {
        "outcome": verdict.outcome,
        "correct": verdict.outcome == "correct",
        "answer": answer,
        "reason": verdict.reason,
        "tokens": proposal.tokens,
        "finish": proposal.finish,
        "seconds": round(proposal.seconds, 3),
        "text": proposal.text,
    }


def _unanswered(error: EngineError) -> Row:
    """The model could not be asked this question: it does not fit, say. It is asked again next
    time."""
    return {
        "outcome": "undecided",
        "correct": False,
        "answer": None,
        "reason": f"could not be asked: {error}",
        "tokens": 0,
        "finish": "failed",
        "seconds": 0.0,
        "text": "",
    }


def _by_problem(rows: Iterable[Row]) -> dict[str, list[bool]]:
    by_problem: dict[str, list[bool]] = {}
    for row in rows:
        by_problem.setdefault(row["problem"], []).append(row["correct"])
    return by_problem


def _named(problem: Problem) -> str:
    return fingerprint([problem.id, problem.question, list(problem.answers)])


@asynccontextmanager
async def _kept(series: Series | None, waiting: list[Row]) -> AsyncIterator[None]:
    """While the block runs, what waits goes into the lake every now and then; at its end, however
    it ends, all of it."""
    if series is None:
        yield
        return

    async def write() -> None:
        piece = waiting.copy()
        await asyncio.to_thread(series.write, piece)
        del waiting[: len(piece)]

    async def now_and_then() -> None:
        while True:
            await asyncio.sleep(series.gather_s)
            await write()

    writing = asyncio.ensure_future(now_and_then())
    body = asyncio.current_task()

    def give_up(ended: asyncio.Future[None]) -> None:
        if not ended.cancelled() and ended.exception() is not None and body is not None:
            body.cancel()  # what cannot be kept is not to be sampled

    writing.add_done_callback(give_up)
    try:
        yield
    except asyncio.CancelledError:
        if writing.done() and not writing.cancelled():
            writing.result()
        raise
    finally:
        if not writing.done():
            writing.cancel()
            await asyncio.wait([writing])
            await write()


async def _all(work: Sequence[Coroutine[Any, Any, None]], stop: threading.Event | None) -> None:
    """Await all of it; the first error ends the others, and so does a stop: an answer may take
    minutes."""
    tasks = [asyncio.ensure_future(one) for one in work]
    left = set(tasks)
    try:
        while left:
            ended, left = await asyncio.wait(
                left, timeout=LOOK_S, return_when=asyncio.FIRST_EXCEPTION
            )
            for task in ended:
                task.result()
            if left and stop is not None and stop.is_set():
                raise Stopped("stopped on request")
    finally:
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
