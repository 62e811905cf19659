"""What the models read: solutions as batches of token ids.

A teacher reads whole solutions, right on the kind of operation it has mastered and partly guessed
on the others, so that it is honestly unsure there.

The meta-prover reads right solutions, and behind every prefix of one the probe with the true
answer.  It must never see the true answer behind a wrong step, or it would learn to ignore the
steps that it is there to judge.  All prefixes of a solution share one sequence: the solution is
the trunk, each probe is a branch that sees the trunk up to its cut and itself, at the positions
where it would stand in a text of its own.  Six lessons so cost what one did.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from cord.miniature import wording
from cord.miniature.problems import chains
from cord.miniature.task import Chain, Skill, stated_value, steps

POOL = 8  # batches that are drawn together and sorted by length, so that little is padding
IGNORED = -100  # the target that cross entropy leaves out
TRUNK = 0


class Lesson(NamedTuple):
    """One solution in tokens; the fields run in parallel."""

    ids: list[int]
    targets: list[int]
    """What each token should be followed by; the prompt is not learnt."""
    positions: list[int]
    branch: list[int]
    """Zero on the trunk, then one for each branch."""
    sees: list[int]
    """How much of the trunk a token sees."""


class Batch(NamedTuple):
    """Lessons padded on the right to one length."""

    ids: torch.Tensor  # (rows, length)
    targets: torch.Tensor  # (rows, length)
    positions: torch.Tensor  # (rows, length)
    mask: torch.Tensor  # (rows, 1, length, length), True where a token sees another


def lesson(
    chain: Chain, skill: Skill, probed: bool, rng: random.Random, tokens: PreTrainedTokenizerFast
) -> Lesson:
    """What one author learns from one problem."""
    written = steps(chain, skill, rng)
    stated = wording.ending(stated_value(written[-1])) + wording.EOS
    prompt, *parts = tokens([wording.prompt(chain.question), wording.THINK, *written, stated])[
        "input_ids"
    ]
    trunk = prompt + [token for part in parts for token in part]
    silent = len(prompt) - 1
    taught = Lesson(
        ids=list(trunk),
        targets=[IGNORED] * silent + trunk[silent + 1 :] + [IGNORED],
        positions=list(range(len(trunk))),
        branch=[TRUNK] * len(trunk),
        sees=list(range(1, len(trunk) + 1)),
    )
    if probed:
        probe = tokens.encode(wording.PROBE)
        (answer,) = tokens.encode(chain.answer)
        cuts = accumulate([len(prompt), *map(len, parts[:-2])])
        for number, cut in enumerate(list(cuts)[1:], start=1):
            taught.ids.extend(probe)
            taught.targets.extend([IGNORED] * (len(probe) - 1) + [answer])
            taught.positions.extend(range(cut, cut + len(probe)))
            taught.branch.extend([number] * len(probe))
            taught.sees.extend([cut] * len(probe))
    return taught


def batched(lessons: Sequence[Lesson], pad: int) -> Batch:
    """Pad, and say who sees whom."""
    longest = max(len(taught.ids) for taught in lessons)

    def square(rows: list[list[int]], filler: int) -> torch.Tensor:
        return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])

    branch = square([taught.branch for taught in lessons], filler=-1)
    sees = square([taught.sees for taught in lessons], filler=0)
    order = torch.arange(longest)
    earlier_trunk = (branch[:, None, :] == TRUNK) & (order < sees[:, :, None])
    own_branch = (branch[:, None, :] == branch[:, :, None]) & (order <= order[:, None])
    return Batch(
        ids=square([taught.ids for taught in lessons], filler=pad),
        targets=square([taught.targets for taught in lessons], filler=IGNORED),
        positions=square([taught.positions for taught in lessons], filler=0),
        mask=(earlier_trunk | own_branch)[:, None],
    )


def batches(
    skill: Skill, probed: bool, size: int, rng: random.Random, tokens: PreTrainedTokenizerFast
) -> Iterator[Batch]:
    """Endless batches of training problems, lessons of like length together."""
    source = chains("training", rng)
    while True:
        lessons = [lesson(next(source), skill, probed, rng, tokens) for _ in range(POOL * size)]
        lessons.sort(key=lambda taught: len(taught.ids))
        starts = list(range(0, len(lessons), size))
        rng.shuffle(starts)
        for start in starts:
            yield batched(lessons[start : start + size], tokens.pad_token_id)
