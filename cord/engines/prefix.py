"""The ids of a prefix: the prompt's, then each step's, in the ids of one model.

A step that this very model wrote keeps the ids it was sampled with, so that a re-submitted prefix
is what the model saw (and what a cache of prefixes knows); any other step is tokenised from its
text *alone*. So a prefix's ids are the prompt's ids plus a pure function of each step, and do not
change when more steps follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cord.types import Step


def own_ids(step: Step, identity: str) -> tuple[int, ...]:
    """The ids that the model named `identity` sampled for this step; () where it wrote none."""
    return step.token_ids if step.model == identity else ()


def step_ids(step: Step, identity: str, encode: Callable[[str], Sequence[int]]) -> tuple[int, ...]:
    """One step in the ids of the model named `identity`; `encode` tokenises a text by itself."""
    return own_ids(step, identity) or tuple(encode(step.text))


def prefix_segments(
    prompt: Sequence[int],
    steps: Iterable[Step],
    identity: str,
    encode: Callable[[str], Sequence[int]],
) -> tuple[tuple[int, ...], ...]:
    """The prompt's ids, then each step's; the flat concatenation is what the model reads."""
    return (tuple(prompt), *(step_ids(step, identity, encode) for step in steps))
