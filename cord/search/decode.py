"""The round loop: teachers continue each prefix, the criterion scores, the beam keeps the best.

Written against two protocols, an `Engine` that proposes and a `Criterion` that scores, so that it
runs on three made-up log-probabilities as well as on a cluster.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cord.answers import stated_answer
from cord.engines import Engine, Proposal, ProposalRequest
from cord.errors import ContextTooLong
from cord.prompts import STEP_HEADER, THINK_CLOSE, THINK_OPEN, split_thinking, step_opening
from cord.recipe import SearchSettings
from cord.scoring import Criterion
from cord.search.beam import Draft, merge, rank, scored, select
from cord.seeds import request_seed
from cord.types import Candidate, Decoding, Problem, Round, Step, Trajectory

ALGORITHM = 1
"""Enters the fingerprint. Raise it when the same inputs would give other trajectories."""

_HALF_A_HEADER = re.compile(r"(?<=\n)(?:#{1,3}|### |### S|### St|### Ste)\Z")


@dataclass(frozen=True, slots=True)
class Seat:
    """A teacher at the table: a name, the model behind it, and how it samples."""

    name: str
    engine: Engine
    temperature: float
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class _Rejected:
    teacher: str
    reason: str
    tokens: int = 0


async def decode(
    problem: Problem,
    teachers: Sequence[Seat],
    criterion: Criterion,
    settings: SearchSettings,
    seed: int,
    on_round: Callable[[Round], None] | None = None,
) -> Decoding:
    """Search one problem's trajectory, step by step (method.md, part 3).

    Every round asks each of the K teachers to continue each growing prefix (at most B * K
    proposals), scores what they wrote, and keeps the top `settings.width`. It ends when the whole
    beam is finished, when nothing can grow, or after `settings.max_steps` rounds. `on_round` hears
    of every decided round. Raises `EngineError` when an engine fails for good.
    """
    start = await criterion.score(problem, (), f"{seed}:{problem.id}:start")
    beam: tuple[Trajectory, ...] = (Trajectory(start_score=start),)
    rounds: list[Round] = []
    for index in range(settings.max_steps):
        growing = [(place, t) for place, t in enumerate(beam) if _can_grow(t, settings)]
        if not growing:
            break
        drafts, rejected, tokens = await _propose(problem, growing, teachers, settings, seed, index)
        candidates, unscored = await _score(problem, drafts, criterion, f"{seed}:{index}")
        kept, candidates = select(beam, candidates, settings.width)
        beam = kept or beam
        round_ = Round(index, candidates, (*rejected, *unscored), tokens)
        rounds.append(round_)
        if on_round is not None:
            on_round(round_)
        if not candidates:
            break
    return Decoding(problem, rank(beam), tuple(rounds))


def _can_grow(trajectory: Trajectory, settings: SearchSettings) -> bool:
    return not trajectory.finished and trajectory.tokens < settings.max_tokens


async def _propose(
    problem: Problem,
    growing: Sequence[tuple[int, Trajectory]],
    teachers: Sequence[Seat],
    settings: SearchSettings,
    seed: int,
    index: int,
) -> tuple[tuple[Draft, ...], tuple[tuple[str, str], ...], int]:
    """All teachers on all growing prefixes: merged drafts, rejected proposals, tokens sampled."""

    async def ask(place: int, prefix: Trajectory, seat: Seat) -> Draft | _Rejected:
        request = next_request(problem, prefix, seat, settings, seed, index, place)
        try:
            proposal = await seat.engine.propose(request)
        except ContextTooLong as error:
            return _Rejected(seat.name, str(error))
        return read_proposal(place, prefix, seat.name, request.opening, proposal)

    answers = await asyncio.gather(
        *(ask(place, prefix, seat) for place, prefix in growing for seat in teachers)
    )
    drafts = [answer for answer in answers if isinstance(answer, Draft)]
    rejected = [answer for answer in answers if isinstance(answer, _Rejected)]
    tokens = sum(d.step.tokens for d in drafts) + sum(r.tokens for r in rejected)
    return merge(drafts), tuple((r.teacher, r.reason) for r in rejected), tokens


def next_request(
    problem: Problem,
    prefix: Trajectory,
    seat: Seat,
    settings: SearchSettings,
    seed: int,
    index: int,
    place: int,
) -> ProposalRequest:
    """What to ask a teacher for behind a prefix: a new step, or the rest of a cut one."""
    text = prefix.text
    closed = THINK_CLOSE in text
    if prefix.steps and (closed or not prefix.steps[-1].complete):
        opening = ""
    else:
        newline = "" if not text or text.endswith("\n") else "\n"
        begun = sum(1 for i in range(len(prefix.steps)) if i == 0 or prefix.steps[i - 1].complete)
        opening = newline + step_opening(begun + 1)
    return ProposalRequest(
        question=problem.question,
        steps=prefix.steps,
        opening=opening,
        # Behind `</think>` a summary may number its steps again; only the thinking is cut there.
        stop=() if closed else (STEP_HEADER,),
        max_tokens=min(settings.max_step_tokens, settings.max_tokens - prefix.tokens),
        temperature=seat.temperature,
        top_p=seat.top_p,
        seed=request_seed(seed, problem.id, index, place, seat.name),
    )


def read_proposal(
    place: int, prefix: Trajectory, teacher: str, opening: str, proposal: Proposal
) -> Draft | _Rejected:
    """Turn what a teacher wrote into a draft, or say why it cannot be one."""
    text, token_ids, cut = proposal.text, proposal.token_ids, proposal.finish == "length"
    if cut and (header := _HALF_A_HEADER.search(text)):
        # The cap fell into the next header: what stands before it is a whole step.
        text, token_ids, cut = text[: header.start()], (), False
    body = text.removeprefix(opening)
    thinking, closing = split_thinking(prefix.text + text)
    answer = stated_answer(closing) if closing is not None else None
    if not body.strip():
        return _Rejected(teacher, "an empty step", proposal.tokens)
    if THINK_OPEN in body or (closing is not None and THINK_CLOSE in closing):
        return _Rejected(teacher, "a stray thinking tag", proposal.tokens)
    if not thinking.strip() or not thinking.removeprefix(step_opening(1)).strip():
        return _Rejected(teacher, "closed its thinking before any step", proposal.tokens)
    cut = cut or (closing is not None and proposal.finish == "stop")
    if closing is not None and answer is None and not cut:
        return _Rejected(teacher, "closed its thinking without an answer", proposal.tokens)
    finished = answer is not None and (not cut or proposal.finish == "stop")
    step = Step(
        text=text,
        teacher=teacher,
        authors=(teacher,),
        token_ids=token_ids,
        model=proposal.model,
        tokens=proposal.tokens,
        score=0.0,
        gain=0.0,
        complete=not cut or finished,
    )
    return Draft(place, prefix, step, finished, answer if finished else None)


async def _score(
    problem: Problem, drafts: Sequence[Draft], criterion: Criterion, key: str
) -> tuple[tuple[Candidate, ...], tuple[tuple[str, str], ...]]:
    """Score all drafts at once; those too long for the meta-prover are rejected."""

    async def score(draft: Draft) -> Candidate | _Rejected:
        steps = (*draft.prefix.steps, draft.step)
        name = f"{key}:{problem.id}:{draft.beam}:{draft.step.teacher}"
        try:
            return scored(draft, await criterion.score(problem, steps, name))
        except ContextTooLong as error:
            return _Rejected(draft.step.teacher, str(error))

    results = await asyncio.gather(*(score(draft) for draft in drafts))
    candidates = tuple(r for r in results if isinstance(r, Candidate))
    return candidates, tuple((r.teacher, r.reason) for r in results if isinstance(r, _Rejected))
