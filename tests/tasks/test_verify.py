"""Verdicts of a shard: each row by the rules of its own domain, and only rows that have none."""

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from doubles.openai_answers import OpenAIAnswers
from doubles.scripted_engine import ScriptedEngine

from cord.engines.vllm.availability import Patience
from cord.ensemble import open_engine
from cord.lake import Lake, open_lake
from cord.lake.runs.run import save_recipe
from cord.lake.tables.query import query
from cord.lake.tables.rows import problem_rows, trajectory_rows
from cord.lake.tables.schemas import SCHEMAS
from cord.recipe import JudgeSettings, Recipe
from cord.recipe_file import parse_recipe
from cord.scheduler import Stopped
from cord.types import Decoding, Problem, Step, Trajectory
from cord.verification import AnswerJudge, Verifier
from tasks.board import BOARD
from tasks.verify import BATCH_ROWS, judge_all, verify_shard

PROGRAM = "```python\ndef double(x):\n    return 2 * x\n```\n"
PROBLEMS = [
    (Problem("math", "q", r"\frac{1}{2}"), r"\boxed{0.5}", "correct"),
    (Problem("maths", "q", "1/2", ("2", "0.5")), r"\boxed{0.5}", "correct"),
    (Problem("other", "q", "1/2"), r"\boxed{0.6}", "wrong"),
    (Problem("number", "q", "1.5 million", domain="numeric"), r"\boxed{1500000}", "correct"),
    (Problem("span", "q", "a firm; the state", domain="span"), r"\boxed{State; firm}", "correct"),
    (Problem("word", "q", "maybe", domain="yes-no-maybe"), r"\boxed{no}", "wrong"),
    (Problem("code", "q", "assert double(2) == 4", domain="code"), PROGRAM, "correct"),
    (Problem("open", "q", "It does.", domain="judge"), "It does so. \\boxed{yes}", "undecided"),
]


def recipe(verify: str = "math") -> Recipe:
    return parse_recipe(
        f"""
name: domains
problems: {{path: p.jsonl, domain: kind}}
teachers: [{{name: ada, model: "cord:ada"}}]
meta_prover: ada
verify: {verify}
"""
    )


def trajectory(closing: str, answer: str | None = None) -> Trajectory:
    text = f"### Step 1. So \\boxed{{7}}.\n</think>\n\n{closing}"
    step = Step(text, "ada", ("ada",), (), "m", 9, 0.5, 0.1)
    stated = closing.partition("boxed{")[2].rstrip("}") if answer is None else answer
    return Trajectory((step,), 0.4, bool(closing), stated if closing else None)


def fill(lake: Lake, run_id: str, recipe: Recipe, problems: list[tuple[Problem, str]]) -> None:
    save_recipe(lake, run_id, recipe, "/")
    keys = {problem.id: f"key-{problem.id}" for problem, _ in problems}
    only = [problem for problem, _ in problems]
    rows = {"problems": problem_rows(run_id, only, keys, dict.fromkeys(keys, 0))}
    rows["trajectories"] = [
        row
        for problem, closing in problems
        for row in trajectory_rows(
            run_id, keys[problem.id], Decoding(problem, (trajectory(closing),), ()), 0
        )
    ]
    for table, made in rows.items():
        lake.tables.append_once(
            table, pa.Table.from_pylist(made, schema=SCHEMAS[table]), f"{run_id}/{table}"
        )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"), create=True)


def verified(lake: Lake, run_id: str) -> dict[str, Any]:
    return dict(verify_shard.fn(lake.uri, run_id, {"shard": 0}))


def test_each_problem_is_judged_by_its_own_domain_and_the_others_by_the_recipes(lake):
    fill(lake, "run", recipe(), [(problem, closing) for problem, closing, _ in PROBLEMS])
    counted = verified(lake, "run")
    rows = query(lake, "select problem_id, outcome, method, reason, answer from verdicts")
    found = {row["problem_id"]: row for row in rows.to_pylist()}
    assert {p.id: found[p.id]["outcome"] for p, _, _ in PROBLEMS} == {
        p.id: outcome for p, _, outcome in PROBLEMS
    }
    assert counted == {"shard": 0, "correct": 5, "wrong": 2, "undecided": 1}
    assert "name one in the recipe" in found["open"]["reason"]
    assert found["math"]["answer"] == "0.5"


def test_what_an_earlier_run_has_judged_is_not_judged_again(lake):
    problems = [(problem, closing) for problem, closing, _ in PROBLEMS[:5]]
    fill(lake, "one", recipe(), problems)
    assert verified(lake, "one")["correct"] == 4
    assert sum(verified(lake, "one").values()) == 0  # the shard is committed
    fill(lake, "two", recipe(), problems)
    assert sum(verified(lake, "two").values()) == 0
    fill(lake, "three", recipe("choice"), problems)
    again = verified(lake, "three")  # math is choice now, and a problem's own domain is the same
    assert again == {"shard": 0, "correct": 1, "wrong": 2, "undecided": 0}


def test_what_did_not_finish_is_wrong_whatever_its_domain():
    row = {"finished": False, "domain": "judge", "answer": None}
    with Verifier() as verifier:
        (verdict,) = judge_all(verifier, None, "math", [row])
    assert (verdict.outcome, verdict.reason) == ("wrong", "no answer was stated: it did not finish")


def test_a_shard_of_several_batches_keeps_every_row(lake):
    problems = [(Problem(f"p{n}", "q", str(n)), f"\\boxed{{{n}}}") for n in range(BATCH_ROWS + 3)]
    fill(lake, "run", recipe(), problems)
    assert verified(lake, "run")["correct"] == BATCH_ROWS + 3
    count_of = query(lake, "select count(distinct problem_id) as n from verdicts")
    assert count_of["n"].to_pylist() == [BATCH_ROWS + 3]


def test_open_answers_go_to_the_judge_with_what_is_said_behind_the_thinking():
    turn = count()
    said = [f"</think>\n\nVerdict: {one}" for one in ("correct", "correct", "wrong")]
    engine = ScriptedEngine(lambda _: said[next(turn) % 3])
    row = {
        "finished": True,
        "domain": None,
        "answer": "yes",
        "text": "### Step 1. Secret.\n</think>\n\nIt does so.",
        "question": "Does it?",
        "reference": "It does.",
        "alternatives": [],
    }
    with Verifier() as verifier:
        judge = AnswerJudge(engine, JudgeSettings())
        (verdict,) = judge_all(verifier, judge, "judge", [row])
    assert (verdict.outcome, verdict.method) == ("correct", "judge 2/3")
    assert "It does so." in engine.requests[0].question
    assert "Secret" not in engine.requests[0].question


def test_a_stop_ends_the_judging():
    row = {
        "finished": True,
        "domain": None,
        "answer": "0.5",
        "reference": "1/2",
        "alternatives": [],
    }
    BOARD.stop.set()
    try:
        with Verifier() as verifier, pytest.raises(Stopped):
            judge_all(verifier, None, "math", [row])
    finally:
        BOARD.stop.clear()


def test_the_recipes_model_is_asked_for_each_open_answer_of_a_shard(lake):
    problems = [(Problem(f"p{n}", "Does it?", "It does."), "It does so.") for n in range(3)]
    with OpenAIAnswers("convention") as server:
        model = f"{{model: m, url: {server.url}, engine: openai}}"
        asked = recipe(f"{{domain: judge, judge: {{model: {model}, votes: 1}}}}")
        patience = Patience(total_s=asked.run.patience_s)
        engine = open_engine(asked.answer_judge_model, asked.search.worded, Path("/"), patience)
        asyncio.run(engine.describe())  # tries out how the endpoint wants to be asked
        message = {"role": "assistant", "content": "</think>\n\nVerdict: correct"}
        server.replies += [{"message": message, "finish_reason": "stop"}] * 3
        fill(lake, "run", asked, problems)
        assert verified(lake, "run")["correct"] == 3
    methods = query(lake, "select distinct method from verdicts")["method"].to_pylist()
    assert methods == ["judge 1/1"]
