"""A run of any size whose problems are decoded: real texts, drawn again and again.

A question is a real one with its numbers changed, so that most questions differ in what they ask;
one in twenty repeats another's. A trajectory of 4 KB is paragraphs of real solutions, drawn at
random, as steps; one in a thousand has a paragraph that an evaluation set has too. References are
the stated answers; one in ten is not.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from cord.decontamination.overlaps import find_overlaps
from cord.decontamination.sets import EvaluationSets, read_sets
from cord.lake import Lake, open_lake
from cord.lake.runs.progress import decode_app
from cord.lake.runs.run import RunDocument, now, save_recipe, save_run
from cord.lake.tables.schemas import SCHEMAS
from cord.recipe import Recipe

RUN = "scale"
SHARD_ROWS = 31_250
CHARACTERS = 4_000
TEACHERS = ("ada", "ben", "cyd")
_NUMBER = re.compile(r"\d+")


def make_run(place: Path, records: int, data: Path, sets: tuple[str, ...]) -> Lake:
    """A lake with the run's tables, as decoding leaves them."""
    lake = open_lake(str(place), create=True)
    recipe = Recipe.model_validate(
        {
            "name": "scale",
            "problems": {"path": "made.jsonl"},
            "teachers": [{"name": name, "model": f"cord:{name}"} for name in TEACHERS],
            "meta_prover": {"model": "cord:meta"},
            "search": {"max_tokens": 100_000, "max_steps": 100},
            "run": {"shards": -(-records // SHARD_ROWS)},
            "decontaminate": {"against": [str(data / name) for name in sets]},
        }
    )
    save_recipe(lake, RUN, recipe, str(data))
    save_run(
        lake,
        RunDocument(
            run_id=RUN, recipe="scale", fingerprint="f", search="s", created_at=now(),
            shards=recipe.run.shards, problems=records,
        ),
    )  # fmt: skip
    drawn = _Drawn(data, read_sets([str(data / name) for name in sets], data))
    for shard, first in enumerate(range(0, records, SHARD_ROWS)):
        numbers = range(first, min(first + SHARD_ROWS, records))
        problems, trajectories = drawn.shard(shard, numbers)
        for table, rows in (("problems", problems), ("trajectories", trajectories)):
            made = pa.Table.from_pylist(rows, schema=SCHEMAS[table])
            lake.tables.append_once(table, made, decode_app(RUN, shard))
    return lake


class _Drawn:
    def __init__(self, data: Path, sets: EvaluationSets) -> None:
        self._random = random.Random(7)
        self._questions = [row["question"] for row in _rows(data / "gsm8k_train.jsonl.gz")]
        paragraphs = [
            paragraph
            for row in _rows(data / "traces_math500_3models.jsonl")
            for paragraph in row["full_response"].split("\n\n")
            if 80 < len(paragraph) < 1200 and "think>" not in paragraph
        ]
        known: set[Any] = set(find_overlaps([_as_rows(paragraphs)], sets)["rank"].to_pylist())
        self._paragraphs = [text for n, text in enumerate(paragraphs) if n not in known]
        self._known = [paragraphs[n] for n in sorted(known)]

    def shard(
        self, shard: int, numbers: range
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        problems, trajectories = [], []
        for number in numbers:
            answer = str(number % 9_973)
            key, problem_id = f"{number:064x}", f"p{number:07d}"
            problems.append(
                {
                    "run_id": RUN, "problem_id": problem_id, "question": self._question(number),
                    "answer": answer, "alternatives": [], "source": f"made:{number}", "key": key,
                    "shard": shard,
                }
            )  # fmt: skip
            wrong = number % 10 == 9
            trajectories.append(self._trajectory(problem_id, key, shard, answer, wrong))
        return problems, trajectories

    def _question(self, number: int) -> str:
        number -= number % 20 == 19  # the one before, again
        text = self._questions[number % len(self._questions)]
        return _NUMBER.sub(lambda found: str(int(found[0]) % 1000 + number % 99_991), text)

    def _trajectory(
        self, problem_id: str, key: str, shard: int, answer: str, wrong: bool
    ) -> dict[str, Any]:
        steps: list[str] = []
        length = 0
        while length < CHARACTERS:
            drawn = self._random.choice(self._paragraphs)
            if not steps and self._known and self._random.random() < 0.001:
                drawn = self._random.choice(self._known)
            steps.append(f"### Step {len(steps) + 1}. {drawn}\n")
            length += len(steps[-1])
        stated = f"{answer}1" if wrong else answer
        scores = [1 - 0.8 * (1 - (n + 1) / len(steps)) for n in range(len(steps))]
        return {
            "run_id": RUN, "problem_id": problem_id, "key": key, "rank": 0, "finished": True,
            "score": scores[-1], "start_score": 0.2, "steps": len(steps), "tokens": length // 4,
            "text": f"{''.join(steps)}</think>\n\nThe answer is \\boxed{{{stated}}}.",
            "answer": stated, "teachers": self._random.choices(TEACHERS, k=len(steps)),
            "proposed_tokens": length, "missing": [], "scores": scores, "shard": shard,
        }  # fmt: skip


def _as_rows(texts: list[str]) -> pa.RecordBatch:
    count = len(texts)
    columns: dict[str, Any] = {
        "problem_id": [""] * count,
        "rank": list(range(count)),
        "question": [""] * count,
    }
    return pa.RecordBatch.from_pydict({**columns, "text": texts})


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
