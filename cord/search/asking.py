"""Asking the teachers of one round: what is asked, who answers in time, what it cost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from cord.engines import Engine, ProposalRequest
from cord.errors import ContextTooLong, EngineUnreachable
from cord.recipe import SearchSettings
from cord.search.beam import Draft
from cord.search.cutting import leads_to, opening, stops
from cord.search.reading import cost_of, read_proposal
from cord.seeds import request_seed
from cord.types import NO_COST, Cost, Problem, Trajectory


@dataclass(frozen=True, slots=True)
class Seat:
    """A teacher at the table: a name, the model behind it, and how it samples."""

    name: str
    engine: Engine
    temperature: float
    top_p: float = 1.0
    instructions: str = ""
    """What it is told in the place of the recipe's words; "": those."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking one teacher for one step."""

    teacher: str
    draft: Draft | None = None
    reason: str = ""
    """Why there is no draft."""
    cost: Cost = NO_COST
    missing: bool = False
    """The teacher's server is away."""


TOO_LATE = "came after the round was closed (search.quorum)"


async def ask_teachers(
    problem: Problem,
    growing: Sequence[tuple[int, Trajectory]],
    teachers: Sequence[Seat],
    settings: SearchSettings,
    seed: int,
    index: int,
    go_on_without_lost: bool = False,
    urgency: int = 0,
) -> list[Answer]:
    """All teachers on all growing prefixes of round `index`, in the order of beam and recipe.

    A teacher that is away is `missing` where `go_on_without_lost`, as long as another one answers;
    else, and for any other failure, this raises `EngineError`."""

    async def ask(place: int, prefix: Trajectory, seat: Seat) -> Answer:
        request = next_request(problem, prefix, seat, settings, seed, index, place, urgency)
        try:
            proposal = await seat.engine.propose(request)
        except ContextTooLong as error:
            return Answer(seat.name, reason=str(error))
        except EngineUnreachable as error:
            if not go_on_without_lost:
                raise
            return Answer(seat.name, reason=str(error), missing=True)
        cost = cost_of(proposal)
        draft = read_proposal(
            place,
            prefix,
            seat.name,
            request.opening,
            proposal,
            leads_to(proposal, settings.segmentation),
        )
        if isinstance(draft, str):
            return Answer(seat.name, reason=draft, cost=cost)
        return Answer(seat.name, draft, cost=cost)

    asked = [(place, prefix, seat) for place, prefix in growing for seat in teachers]
    answers = await _until_quorum(
        [ask(*one) for one in asked],
        [seat.name for _, _, seat in asked],
        math.ceil(round(settings.quorum * len(asked), 6)),
    )
    if answers and all(answer.missing for answer in answers):
        raise EngineUnreachable(f"every teacher is away; {answers[0].reason}")
    return answers


async def _until_quorum(
    asking: Sequence[Awaitable[Answer]], names: Sequence[str], quorum: int
) -> list[Answer]:
    """Wait until `quorum` answers have come, a draft among them if there is any; break off the
    rest. Answers stand in the order of `asking`. The first failure breaks all off."""
    tasks = [asyncio.ensure_future(one) for one in asking]
    waiting = set(tasks)
    try:
        while waiting:
            how = asyncio.FIRST_EXCEPTION if quorum >= len(tasks) else asyncio.FIRST_COMPLETED
            _, waiting = await asyncio.wait(waiting, return_when=how)
            come = [task.result() for task in tasks if task not in waiting]
            if len(come) >= quorum and any(answer.draft for answer in come):
                break
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # several may have failed
    # A late one may still end in its own way, with an answer or an error: it is too late for both.
    return [
        Answer(name, reason=TOO_LATE) if task in waiting else task.result()
        for task, name in zip(tasks, names, strict=True)
    ]


def next_request(
    problem: Problem,
    prefix: Trajectory,
    seat: Seat,
    settings: SearchSettings,
    seed: int,
    index: int,
    place: int,
    urgency: int,
) -> ProposalRequest:
    """What to ask a teacher for behind a prefix: a new step, or the rest of a cut one."""
    most = settings.max_tokens if settings.whole else settings.max_step_tokens
    return ProposalRequest(
        question=problem.question,
        steps=prefix.steps,
        opening=opening(prefix, settings.segmentation),
        stop=() if settings.whole else stops(prefix, settings.segmentation),
        max_tokens=min(most, settings.max_tokens - prefix.tokens),
        temperature=seat.temperature,
        top_p=seat.top_p,
        instructions=seat.instructions,
        seed=request_seed(seed, problem.id, index, place, seat.name),
        urgency=urgency,
    )


def costs_by_teacher(answers: Sequence[Answer]) -> tuple[tuple[str, Cost], ...]:
    """Each teacher's costs added up, in the order of their first answer."""
    costs: dict[str, Cost] = {}
    for answer in answers:
        costs[answer.teacher] = costs.get(answer.teacher, NO_COST) + answer.cost
    return tuple(costs.items())
