"""Reading what a teacher wrote: a draft of a step, or the reason why it cannot be one."""

from __future__ import annotations

import re

from cord.answers import stated_answer
from cord.engines import Proposal
from cord.prompts import THINK_CLOSE, THINK_OPEN, split_thinking, step_opening
from cord.search.beam import Draft
from cord.types import Cost, Step, Trajectory

_HALF_A_HEADER = re.compile(r"(?<=\n)(?:#{1,3}|### |### S|### St|### Ste)\Z")

LOOP_CHARACTERS = 240
"""A repetition must fill at least so much of a step's end to be called a loop ..."""
LOOP_TIMES = 4
"""... and repeat itself at least so often."""


def read_proposal(
    place: int,
    prefix: Trajectory,
    teacher: str,
    opening: str,
    proposal: Proposal,
    leads_to: str = "",
) -> Draft | str:
    """Turn what a teacher wrote into a draft, or say why it cannot be one."""
    text, token_ids, cut = proposal.text, proposal.token_ids, proposal.finish == "length"
    if cut and (header := _HALF_A_HEADER.search(text)):
        # The cap fell into the next header: what stands before it is a whole step.
        text, token_ids, cut = text[: header.start()], (), False
    body = text.removeprefix(opening)
    thinking, closing = split_thinking(prefix.text + text)
    answer = stated_answer(closing) if closing is not None else None
    if not body.strip():
        return "an empty step"
    if cut and ends_in_a_loop(text):
        return "a repetition loop: it ran into the token cap saying the same again and again"
    if THINK_OPEN in body or (closing is not None and THINK_CLOSE in closing):
        return "a stray thinking tag"
    if closing is not None and not thinking.removeprefix(step_opening(1)).strip():
        return "closed its thinking before any step"
    cut = cut or (closing is not None and proposal.finish == "stop")
    if closing is not None and answer is None and not cut:
        return "closed its thinking without an answer"
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
        leads_to=leads_to,
    )
    return Draft(place, prefix, step, finished, answer if finished else None, cost_of(proposal))


def cost_of(proposal: Proposal) -> Cost:
    """What a proposal cost, whatever becomes of it."""
    return Cost(
        1, proposal.tokens, proposal.prompt_tokens, proposal.cached_tokens, proposal.seconds
    )


def ends_in_a_loop(text: str) -> bool:
    """Whether the end of `text` is one piece, at least `LOOP_TIMES` times over, and at least
    `LOOP_CHARACTERS` long. Linear in the length of the text.

    The text is read backwards with Knuth, Morris and Pratt's border table: a beginning of length n
    whose longest border is b repeats itself every n - b characters."""
    backwards = text[::-1]
    border = [0] * len(backwards)
    length = 0
    for place in range(1, len(backwards)):
        while length and backwards[place] != backwards[length]:
            length = border[length - 1]
        if backwards[place] == backwards[length]:
            length += 1
        border[place] = length
        size = place + 1
        if size >= LOOP_CHARACTERS and size >= LOOP_TIMES * (size - length):
            return True
    return False
