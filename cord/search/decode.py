"""The round loop: teachers continue each prefix, the criterion scores, the strategy decides.

Written against three protocols, an `Engine` that proposes, a `Criterion` that scores and a
`Strategy` that decides, so that it runs on three made-up log-probabilities as well as on a cluster.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from cord.errors import ContextTooLong
from cord.prompts import merging_question
from cord.recipe import SearchSettings
from cord.scoring import Criterion
from cord.search.asking import Seat, ask_teachers, costs_by_teacher
from cord.search.beam import SMALLEST_SCORE, Draft, merge, scored
from cord.search.strategies import open_strategy
from cord.types import Candidate, Decoding, Problem, Progress, Round, Trajectory

ALGORITHM = 2
"""Enters the fingerprint. Raise it when the same inputs would give other trajectories."""


async def decode(
    problem: Problem,
    teachers: Sequence[Seat],
    criterion: Criterion,
    settings: SearchSettings,
    seed: int,
    on_round: Callable[[float, Round], Awaitable[None]] | None = None,
    go_on_without_lost: bool = False,
    urgency: int = 0,
    so_far: Progress | None = None,
    integrator: Seat | None = None,
) -> Decoding:
    """Search one problem's trajectory, step by step (method.md, part 3).

    Every round asks each of the K teachers to continue each prefix that the strategy names, scores
    what they wrote, and lets the strategy decide what lives on (the beam: the top
    `settings.width` of at most B * K). It ends when the strategy names none (the beam: when all of
    it is finished or nothing can grow), or when `settings.max_problem_tokens` are spent. `on_round`
    hears the empty prefix's score and every decided round; the next one begins when it returns.
    With `so_far` the search goes on behind the rounds that were decided before. Raises
    `EngineError` when an engine fails for good; with `go_on_without_lost` a teacher that is away is
    only noted in its round. `urgency` is the first round's (`ProposalRequest.urgency`). A strategy
    that has whole trajectories merged needs an `integrator`."""
    if so_far is None:
        so_far = Progress(await criterion.score(problem, (), f"{seed}:{problem.id}:start"), ())
    start, rounds = so_far.start_score, list(so_far.rounds)
    strategy = open_strategy(Trajectory(start_score=max(start, SMALLEST_SCORE)), settings)
    for decided in rounds:
        strategy.take(decided.candidates)
    spent, budget = sum(r.proposed_tokens for r in rounds), settings.max_problem_tokens or math.inf
    while spent < budget and (growing := strategy.growing()):
        index = len(rounds)
        asked, seats = problem, teachers
        if merges := strategy.merges():
            asked, seats = _merging(problem, merges), _seated(integrator)
        answers = await ask_teachers(
            asked, growing, seats, settings, seed, index, go_on_without_lost, urgency + index
        )
        drafts = merge(answer.draft for answer in answers if answer.draft)
        candidates, unscored = await _score(problem, drafts, criterion, f"{seed}:{index}")
        decided = Round(
            index,
            strategy.take(candidates),
            (*((a.teacher, a.reason) for a in answers if a.reason), *unscored),
            costs_by_teacher(answers),
            tuple(dict.fromkeys(a.teacher for a in answers if a.missing)),
        )
        rounds.append(decided)
        spent += decided.proposed_tokens
        if on_round is not None:
            await on_round(start, decided)
    return Decoding(problem, strategy.best(), tuple(rounds))


def _merging(problem: Problem, trajectories: Sequence[Trajectory]) -> Problem:
    """The problem as the integrator reads it; its answer is scored on the problem itself."""
    shown = merging_question(problem.question, [t.text for t in trajectories])
    return replace(problem, question=shown)


def _seated(integrator: Seat | None) -> tuple[Seat, ...]:
    if integrator is None:
        raise ValueError("whole trajectories are to be merged, and there is no integrator")
    return (integrator,)


async def _score(
    problem: Problem, drafts: Sequence[Draft], criterion: Criterion, key: str
) -> tuple[tuple[Candidate, ...], tuple[tuple[str, str], ...]]:
    """Score all drafts at once; those too long for the meta-prover are rejected, by (teacher,
    reason)."""

    async def score(draft: Draft) -> Candidate | tuple[str, str]:
        steps = (*draft.prefix.steps, draft.step)
        name = f"{key}:{problem.id}:{draft.beam}:{draft.step.teacher}"
        try:
            return scored(draft, await criterion.score(problem, steps, name))
        except ContextTooLong as error:
            return draft.step.teacher, str(error)

    results = await asyncio.gather(*(score(draft) for draft in drafts))
    candidates = tuple(r for r in results if isinstance(r, Candidate))
    return candidates, tuple(r for r in results if not isinstance(r, Candidate))
