"""What the paper compares with: whole trajectories, the best of them kept (method.md, part 4).

*Curation*: each teacher writes whole trajectories on its own, the criterion scores them, the best
one stays. A single teacher is the same with one author and no choice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cord.answers import stated_answer
from cord.engines import ProposalRequest
from cord.prompts import split_thinking, step_opening
from cord.recipe import SearchSettings
from cord.scoring import Criterion
from cord.search.asking import Seat
from cord.search.beam import Draft, grow, rank, scored
from cord.seeds import request_seed
from cord.types import Problem, Step, Trajectory


async def write_alone(
    problem: Problem,
    teacher: Seat,
    criterion: Criterion,
    settings: SearchSettings,
    seed: int,
    sample: int,
) -> Trajectory:
    """One whole trajectory by one teacher, as a single step, with its score.

    It is unfinished when it met `settings.max_tokens` or stated no answer."""
    request = ProposalRequest(
        question=problem.question,
        steps=(),
        opening=step_opening(1),
        stop=(),
        max_tokens=settings.max_tokens,
        temperature=teacher.temperature,
        top_p=teacher.top_p,
        seed=request_seed(seed, problem.id, 0, sample, teacher.name),
    )
    proposal = await teacher.engine.propose(request)
    _, closing = split_thinking(proposal.text)
    answer = stated_answer(closing) if closing is not None else None
    finished = answer is not None and proposal.finish != "length"
    step = Step(
        proposal.text,
        teacher.name,
        (teacher.name,),
        proposal.token_ids,
        proposal.model,
        proposal.tokens,
        score=0.0,
        gain=0.0,
    )
    score = await criterion.score(problem, (step,), f"{seed}:{problem.id}:{sample}:{teacher.name}")
    empty = Trajectory()
    return grow(empty, scored(Draft(0, empty, step, finished, answer), score))


async def curate(
    problem: Problem,
    teachers: Sequence[Seat],
    criterion: Criterion,
    settings: SearchSettings,
    seed: int,
    samples: int,
) -> tuple[Trajectory, ...]:
    """`samples` whole trajectories by each teacher, finished ones first, then by score."""
    written = await asyncio.gather(
        *(
            write_alone(problem, teacher, criterion, settings, seed, sample)
            for sample in range(samples)
            for teacher in teachers
        )
    )
    return rank(written)
