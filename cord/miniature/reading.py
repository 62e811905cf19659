"""What the miniature's models read: lessons, and batches of them as tensors.

A lesson is a trunk, a text as it would be written, and branches off it: short texts that see the
trunk up to a cut and themselves, at the positions where they would stand in a text of their own. So
all prefixes of a solution are put to a model in one sequence, at the cost of one.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from cord.miniature.problems import puzzles
from cord.miniature.task import Puzzle

POOL = 8  # batches that are drawn together and sorted by length, so that little is padding
IGNORED = -100  # the target that cross entropy leaves out
TRUNK = 0


@dataclass
class Lesson:
    """One text in tokens; the fields run in parallel."""

    ids: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    """What each token should be followed by, or how it should be judged."""
    positions: list[int] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    """Zero on the trunk, then one for each branch."""
    sees: list[int] = field(default_factory=list)
    """How much of the trunk a token sees."""

    def trunk(self, ids: Sequence[int], targets: Sequence[int]) -> None:
        """Write the trunk, before any branch."""
        self.ids += ids
        self.targets += targets
        self.positions += range(len(ids))
        self.branch += [TRUNK] * len(ids)
        self.sees += range(1, len(ids) + 1)

    def branch_off(self, cut: int, ids: Sequence[int], targets: Sequence[int]) -> None:
        """Add a branch that stands behind the first `cut` tokens of the trunk."""
        number = max(self.branch) + 1
        self.ids += ids
        self.targets += targets
        self.positions += range(cut, cut + len(ids))
        self.branch += [number] * len(ids)
        self.sees += [cut] * len(ids)


class Batch(NamedTuple):
    """Lessons padded on the right to one length."""

    ids: torch.Tensor  # (rows, length)
    targets: torch.Tensor  # (rows, length)
    positions: torch.Tensor  # (rows, length)
    mask: torch.Tensor  # (rows, 1, length, length), True where a token sees another


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


Teach = Callable[[Puzzle, random.Random], Lesson]
"""Makes a lesson of a problem."""


def batches(teach: Teach, size: int, rng: random.Random, pad: int) -> Iterator[Batch]:
    """Endless batches of training problems, lessons of like length together."""
    source = puzzles("training", rng)
    while True:
        lessons = [teach(next(source), rng) for _ in range(POOL * size)]
        lessons.sort(key=lambda taught: len(taught.ids))
        starts = list(range(0, len(lessons), size))
        rng.shuffle(starts)
        for start in starts:
            yield batched(lessons[start : start + size], pad)
