"""Which problems are trained on, which are shown in the demo, and which are measured.

The hash of a question decides, so that the three sets are disjoint by construction, whatever the
seed and however often the models are trained again.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from cord.miniature.task import Puzzle, draw

Split = Literal["training", "demo", "benchmark"]


def split_of(question: str) -> Split:
    """An eighth of all questions is held out, half of it for the demo."""
    bucket = hashlib.sha256(question.encode()).digest()[0] % 16
    return "demo" if bucket == 0 else "benchmark" if bucket == 1 else "training"


def puzzles(split: Split, rng: random.Random) -> Iterator[Puzzle]:
    """Endless random problems of one split, with repetitions where chance has them."""
    while True:
        puzzle = draw(rng)
        if split_of(puzzle.question) == split:
            yield puzzle


def distinct(split: Split, count: int, seed: int) -> list[Puzzle]:
    """The first `count` different problems of a split; a larger count begins with the smaller."""
    found: dict[str, Puzzle] = {}
    rng = random.Random(f"{split}:{seed}")  # noqa: S311 (a seeded draw, not a secret)
    for puzzle in puzzles(split, rng):
        found.setdefault(puzzle.question, puzzle)
        if len(found) == count:
            break
    return list(found.values())


def benchmark_problems(count: int = 200, seed: int = 0) -> list[Puzzle]:
    """The held-out problems that the miniature is measured on."""
    return distinct("benchmark", count, seed)


def write_problems(path: Path, count: int, seed: int, split: Split = "demo") -> None:
    """Write problems of a split as JSON lines of `id`, `question` and `answer`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (
        {"id": f"puzzle-{seed}-{number:04}", "question": puzzle.question, "answer": puzzle.answer}
        for number, puzzle in enumerate(distinct(split, count, seed))
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def take(split: Split, count: int, rng: random.Random) -> list[Puzzle]:
    """`count` problems of a split, drawn with replacement."""
    return list(islice(puzzles(split, rng), count))
