"""Cutting steps while they are written: what a step begins with, and what ends it.

`cord.segmentation` cuts finished texts in the same three ways. Live, a proposal ends where the next
step would begin, and whoever continues it is made to begin there:

    prompt-guided    ends at `### Step`; the next one opens with `### Step n.`
    line-break       ends at a blank line; the next one opens with it
    reflection-cue   ends in front of a cue, `Wait,`; whoever goes on opens with that very cue

Live, a capitalised cue behind a space is taken for the beginning of a sentence; a finished text is
looked at for the end of the one before too.
"""

from __future__ import annotations

from typing import Final

from cord.engines import Proposal
from cord.prompts import STEP_HEADER, THINK_CLOSE, split_thinking, step_opening
from cord.segmentation import CUES, Segmentation
from cord.types import Trajectory

_BLANK_LINE: Final = "\n\n"
_BEHIND_A_CUE: Final = (" ", ",", ".")
_STOPS: Final[dict[Segmentation, tuple[str, ...]]] = {
    "prompt-guided": (STEP_HEADER,),
    "line-break": (_BLANK_LINE,),
    # With what stands behind it: `So` is a cue, the beginning of `Some` is none.
    "reflection-cue": tuple(
        f"{space}{cue}{behind}" for space in "\n " for cue in CUES for behind in _BEHIND_A_CUE
    ),
}


def stops(prefix: Trajectory, how: Segmentation) -> tuple[str, ...]:
    """What ends the next step. Behind `</think>` nothing does: a summary may number its steps
    again."""
    return () if THINK_CLOSE in prefix.text else _STOPS[how]


def opening(prefix: Trajectory, how: Segmentation) -> str:
    """What the next step is made to begin with; "" where a cut step or the answer goes on."""
    text = prefix.text
    if prefix.steps and (THINK_CLOSE in text or not prefix.steps[-1].complete):
        return ""
    if how != "prompt-guided":
        return prefix.steps[-1].leads_to if prefix.steps else ""
    newline = "" if not text or text.endswith("\n") else "\n"
    begun = sum(1 for i in range(len(prefix.steps)) if i == 0 or prefix.steps[i - 1].complete)
    return newline + step_opening(begun + 1)


def leads_to(proposal: Proposal, how: Segmentation) -> str:
    """What the step behind this proposal opens with, as far as the proposal decides it."""
    thinking_goes_on = split_thinking(proposal.text)[1] is None
    if proposal.finish != "stop" or not thinking_goes_on or how == "prompt-guided":
        return ""
    if how == "line-break":
        return _BLANK_LINE
    return proposal.stopped_at[:-1]  # without what stood behind the cue
