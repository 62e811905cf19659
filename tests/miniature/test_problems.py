import json
import random
from pathlib import Path

from cord.miniature.problems import benchmark_problems, distinct, split_of, take, write_problems
from cord.miniature.task import parse

DEMO = Path(__file__).parents[2] / "recipes" / "demo.jsonl"


def test_what_is_trained_on_is_neither_shown_nor_measured():
    trained = {chain.question for chain in take("training", 500, random.Random(0))}
    shown = {chain.question for chain in distinct("demo", 100, seed=0)}
    measured = {chain.question for chain in benchmark_problems()}
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


def test_the_shipped_demo_is_what_the_generator_writes(tmp_path):
    write_problems(tmp_path / "demo.jsonl", count=64, seed=7)
    assert DEMO.read_bytes() == (tmp_path / "demo.jsonl").read_bytes()
