import json
import random
from pathlib import Path

import pytest

from cord.miniature.problems import benchmark_problems, distinct, split_of, take, write_problems
from cord.miniature.task import parse

RECIPES = Path(__file__).parents[2] / "recipes"


def test_what_is_trained_on_is_neither_shown_nor_measured():
    trained = {puzzle.question for puzzle in take("training", 500, random.Random(0))}
    shown = {puzzle.question for puzzle in distinct("demo", 100, seed=0)}
    measured = {puzzle.question for puzzle in benchmark_problems()}
    assert {split_of(q) for q in trained} == {"training"}
    assert not trained & shown and not trained & measured and not shown & measured
    assert len(measured) == 200


def test_more_problems_begin_with_the_fewer():
    assert distinct("demo", 20, seed=3)[:5] == distinct("demo", 5, seed=3)
    assert distinct("demo", 5, seed=3) != distinct("demo", 5, seed=4)


def test_written_problems_carry_their_right_answer(tmp_path):
    write_problems(tmp_path / "new" / "problems.jsonl", count=12, seed=1)
    rows = [json.loads(line) for line in (tmp_path / "new" / "problems.jsonl").open()]
    assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == 12
    assert all(parse(row["question"]).answer == row["answer"] for row in rows)


@pytest.mark.parametrize(
    ("name", "count", "seed", "split"),
    [
        ("demo", 64, 7, "demo"),
        ("ablation-miniature", 200, 0, "benchmark"),
        ("students-miniature", 200, 1, "demo"),
    ],
)
def test_the_shipped_problems_are_what_the_generator_writes(tmp_path, name, count, seed, split):
    write_problems(tmp_path / "problems.jsonl", count, seed, split)
    assert (RECIPES / f"{name}.jsonl").read_bytes() == (tmp_path / "problems.jsonl").read_bytes()
