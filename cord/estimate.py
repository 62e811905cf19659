"""What a recipe will cost, before anyone pays: from the paper's figures, or from a pilot.

Of numbers alone. The paper states seconds a problem on four H200 (method.md: beam 288.7, curation
168.3, MCTS 589.2; B = 4, K = 3), and no token counts: how long a trajectory is must be assumed.
A pilot, some of the recipe's own problems decoded for real (`cord.pilot`), assumes nothing but that
the others are like these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cord.intervals import mean_interval
from cord.recipe import Recipe, SearchSettings

STEPS = 25
"""Of a trajectory: assumed (cord's own simulation of a run; the paper does not say)."""
STEP_TOKENS = 200
"""Of a step: assumed likewise."""
PROMPT_TOKENS = 250
"""Question and instructions: assumed."""
ANSWER_TOKENS = 16
"""Of the answer and the words in front of it: assumed."""
BYTES_A_TOKEN = 4.0
COMPRESSED = 0.45
"""Share that is left of a text in Parquet files (zstd): assumed."""
ROW_BYTES = 120.0
"""Of a row beside its text: assumed."""
GPUS = 4
PAPER_SECONDS = {"beam": 288.7, "greedy": 288.7, "mcts": 589.2, "curation": 168.3}
"""Seconds a problem on `GPUS` H200 (the paper's table 15); greedy as a beam of one."""
PAPER_SEARCH = SearchSettings()
PAPER_TEACHERS = 3
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Amount:
    """A figure for the whole run, with the 95 % interval where it was measured on some problems."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What one model has to do."""

    requests: Amount
    sampled: Amount
    """Tokens; 0 of the one that scores."""
    read: Amount
    """Tokens in front of the requests, out of a prefix cache or not."""
    cached: Amount | None
    """Of these, out of a prefix cache; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A whole run's cost."""

    basis: str
    """`paper` or `pilot`."""
    problems: int
    pilot_problems: int
    teachers: Mapping[str, Work]
    scorer: Work | None
    """Meta-prover, judge or reward model; None where the criterion asks nobody."""
    sampled: Amount
    gpu_hours: Amount | None
    """None where it is not known how many GPUs there are, or what they do."""
    seconds: float | None
    """Of a pilot's run, at its own pace: a whole run keeps more problems in flight."""
    storage_bytes: Amount
    assumptions: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a problem's search asks of its teachers, all together."""

    proposals: float
    sampled: float
    read: float
    """In front of the proposals."""
    scored: float
    """Read by the one that scores each of them."""
    path: float
    """Tokens of one whole trajectory."""


def asked_of(search: SearchSettings, teachers: int) -> Asked:
    """One problem's search by `teachers` models, every trajectory of the assumed length.

    Beam: K proposals in the first round, B * K in each further one. Greedy: K a round. MCTS: K a
    round, and `max_steps * width` rounds. Curation: B * K whole trajectories, and integration one
    more that is written behind them all. `max_problem_tokens` ends each of them, after the round
    under way."""
    step = float(min(STEP_TOKENS, search.max_step_tokens))
    steps = max(1, min(STEPS, search.max_steps, int(search.max_tokens // step) or 1))
    if search.whole:
        whole, number = steps * step, search.width * teachers
        merged = 1 if search.strategy == "integration" else 0
        read = number * PROMPT_TOKENS + merged * (PROMPT_TOKENS + number * whole)
        sampled = (number + merged) * whole
        scored = (number + merged) * (PROMPT_TOKENS + whole + ANSWER_TOKENS)
        return Asked(number + merged, sampled, read, scored, whole)
    # (rounds, prefixes in each, steps in front of them on average)
    middle = (steps - 1) / 2
    phases = {
        "beam": [(1, 1, 0.0), (steps - 1, search.width, steps / 2)],
        "greedy": [(steps, 1, middle)],
        "mcts": [(search.max_steps * search.width, 1, middle)],
    }[search.strategy]
    if search.strategy == "greedy" and search.max_problem_tokens is not None:
        phases = [(search.max_steps * search.width, 1, middle)]  # it begins again
    left = float(search.max_problem_tokens or 10**18)
    proposals = read = 0.0
    for rounds, prefixes, depth in phases:
        a_round = prefixes * teachers
        held = min(rounds, max(0, math.ceil(left / (a_round * step))))
        left -= held * a_round * step
        proposals += held * a_round
        read += held * a_round * (PROMPT_TOKENS + depth * step)
    scored = read + proposals * (step + ANSWER_TOKENS) + PROMPT_TOKENS + ANSWER_TOKENS
    return Asked(proposals, proposals * step, read, scored, steps * step)


def from_paper(recipe: Recipe, problems: int) -> Estimate:
    """What `problems` problems will cost, by the paper's seconds and the assumed lengths.

    GPU time is the paper's for the same strategy, times the ratio of tokens sampled here to those
    of the paper's B = 4 and K = 3. Where the teachers run in cord's own process there is none."""
    teachers = len(recipe.teachers)
    asked = asked_of(recipe.search, teachers)
    share = {
        teacher.name: Work(
            Amount(problems * asked.proposals / teachers),
            Amount(problems * asked.sampled / teachers),
            Amount(problems * asked.read / teachers),
            None,
        )
        for teacher in recipe.teachers
    }
    asks = recipe.search.criterion not in ("random", "max-length")
    scorer = Work(
        Amount(problems * (asked.proposals + 1)), Amount(0.0), Amount(problems * asked.scored), None
    )
    text = asked.sampled + recipe.search.width * asked.path  # steps, and the last beam
    stored = problems * (text * BYTES_A_TOKEN * COMPRESSED + asked.proposals * ROW_BYTES)
    here = all(teacher.kind == "embedded" for teacher in recipe.teachers)
    return Estimate(
        basis="paper",
        problems=problems,
        pilot_problems=0,
        teachers=share,
        scorer=scorer if asks else None,
        sampled=Amount(problems * asked.sampled),
        gpu_hours=None
        if here
        else Amount(problems * paper_gpu_seconds(recipe.search, asked) / 3600),
        seconds=None,
        storage_bytes=Amount(stored),
        assumptions=_assumed(recipe, here),
    )


def paper_gpu_seconds(search: SearchSettings, asked: Asked) -> float:
    """GPU-seconds of one problem on the paper's cards and models."""
    strategy = "curation" if search.whole else search.strategy
    theirs = "beam" if strategy == "greedy" else strategy
    settings = PAPER_SEARCH.model_copy(update={"strategy": theirs})
    reference = asked_of(settings, PAPER_TEACHERS)
    return PAPER_SECONDS[strategy] * GPUS * asked.sampled / reference.sampled


def _assumed(recipe: Recipe, here: bool) -> tuple[str, ...]:
    search = recipe.search
    told = [
        f"a trajectory has {STEPS} steps of {STEP_TOKENS} tokens at most, fewer where the recipe's "
        f"caps say so (max_steps {search.max_steps}, max_step_tokens {search.max_step_tokens}, "
        f"max_tokens {search.max_tokens}): assumed, the paper gives no lengths",
        f"question and instructions have {PROMPT_TOKENS} tokens, the scored answer {ANSWER_TOKENS}",
        "tokens read count each prefix in full; a prefix cache holds most of them",
        f"texts take {BYTES_A_TOKEN:g} bytes a token, {COMPRESSED:.0%} of that when compressed",
    ]
    if here:
        told.append("the teachers run in cord's own process: no GPU time; --pilot measures seconds")
    else:
        strategy = "curation" if search.whole else search.strategy
        told.append(
            f"GPU time: the paper's {PAPER_SECONDS[strategy]} s a problem on {GPUS} H200 "
            f"({'greedy as a beam of one' if strategy == 'greedy' else strategy}, B = 4, K = 3, "
            "its models), by the ratio of tokens sampled"
        )
    return tuple(told)


@dataclass(frozen=True, slots=True)
class PilotProblem:
    """What one problem of a pilot came to."""

    proposals: Mapping[str, int]
    """By teacher, as the other three."""
    sampled: Mapping[str, int]
    read: Mapping[str, int]
    cached: Mapping[str, int | None]
    scored: int
    """Proposals that were scored."""
    scored_tokens: int
    """In front of the answers that were scored, in the tokens of the proposals' authors."""
    stored_bytes: int


def from_pilot(
    recipe: Recipe, pilot: Sequence[PilotProblem], problems: int, seconds: float, gpus: int | None
) -> Estimate:
    """What `problems` problems will cost where the pilot's are like them: each figure is the
    pilot's mean a problem, times `problems`, with a bootstrap interval over the pilot's problems.

    `seconds` is what the pilot took, on `gpus`. Raises ValueError for a pilot of no problems."""
    names = [teacher.name for teacher in recipe.teachers]
    names += sorted({name for one in pilot for name in one.sampled} - set(names))

    def total(values: Sequence[float]) -> Amount:
        found = mean_interval(values, level=LEVEL)
        return Amount(found.mean * problems, found.low * problems, found.high * problems)

    teachers = {}
    for name in names:
        cached = [one.cached.get(name, 0) for one in pilot]
        known = [float(value) for value in cached if value is not None]
        teachers[name] = Work(
            total([one.proposals.get(name, 0) for one in pilot]),
            total([one.sampled.get(name, 0) for one in pilot]),
            total([one.read.get(name, 0) for one in pilot]),
            total(known) if len(known) == len(cached) else None,
        )
    asks = recipe.search.criterion not in ("random", "max-length")
    scorer = Work(
        total([one.scored + 1 for one in pilot]),
        Amount(0.0),
        total([one.scored_tokens for one in pilot]),
        None,
    )
    whole = seconds * problems / len(pilot)
    return Estimate(
        basis="pilot",
        problems=problems,
        pilot_problems=len(pilot),
        teachers=teachers,
        scorer=scorer if asks else None,
        sampled=total([sum(one.sampled.values()) for one in pilot]),
        gpu_hours=None if gpus is None else Amount(whole * gpus / 3600),
        seconds=whole,
        storage_bytes=total([one.stored_bytes for one in pilot]),
        assumptions=(
            f"the other problems are like the {len(pilot)} that were decoded; intervals of "
            f"{LEVEL:.0%} by bootstrap over these",
            "time is at the pilot's own pace, an upper bound: a whole run keeps up to "
            f"{recipe.run.in_flight} problems in flight",
            "the scorer's tokens are counted in those of the proposals' authors",
        ),
    )
