"""Select, deduplicate, decontaminate: what is dropped stands there with its evidence, and a problem
that has no other record is in quarantine with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cord.lake import Lake, open_lake
from cord.lake.releases.release import publish
from cord.lake.runs.candidates import read_candidates
from cord.lake.runs.run import RunDocument, now, save_recipe, save_run
from cord.lake.tables.query import query
from cord.lake.tables.schemas import SCHEMAS
from cord.plan import verdict_keys
from cord.recipe import Recipe
from cord.recipe_file import parse_recipe
from tasks import artifacts
from tasks.decontaminate import decontaminate, load_checked
from tasks.deduplicate import deduplicate
from tasks.select import select_records

RECIPE = """
name: data
problems: {path: p.jsonl}
teachers: [{name: ada, model: "cord:ada"}]
meta_prover: ada
decontaminate: {against: [exam.jsonl]}
"""
APPLES = "Ada sells five red apples and six green pears on each market day. How many in ten days?"
EXAM = (
    "A train leaves the station at noon and travels sixty miles every hour. Another train leaves "
    "two hours later on the same track. When do they meet?"
)
QUESTIONS = {
    "clean": APPLES,
    "again": APPLES.lower().replace("?", " ?"),
    "exam": f"Read carefully. {EXAM}",
    "recited": "What is the sum of all even numbers up to twenty?",
    "unsure": "Which word is the longest one?",
    "wrong": "What is the root of minus one?",
}
OUTCOMES = {"unsure": "undecided", "wrong": "wrong"}


def text(problem_id: str) -> str:
    said = EXAM if problem_id == "recited" else f"This is about {problem_id}."
    return f"### Step 1. {said}\n</think>\n\nThe answer is \\boxed{{1}}."


def trajectory(problem_id: str, rank: int = 0) -> dict[str, Any]:
    score = {"clean": 0.9}.get(problem_id, 0.5) - 0.1 * rank
    return {
        "run_id": "run", "problem_id": problem_id, "key": f"key-{problem_id}", "rank": rank,
        "finished": True, "score": score, "start_score": 0.1, "steps": 1, "tokens": 9,
        "text": text(problem_id), "answer": "1", "teachers": ["ada"], "proposed_tokens": 9,
        "missing": [], "scores": [score], "shard": 0,
    }  # fmt: skip


def fill(lake: Lake, recipe: Recipe, folder: Path) -> None:
    """A run whose trajectories are judged; its best problem has two that say the same."""
    save_recipe(lake, "run", recipe, str(folder))
    save_run(
        lake,
        RunDocument(
            run_id="run", recipe="data", fingerprint="f", search="s", created_at=now(), shards=1,
            problems=len(QUESTIONS),
        ),
    )  # fmt: skip
    trajectories = [*map(trajectory, QUESTIONS), trajectory("clean", 1)]
    problems = [
        {
            "run_id": "run", "problem_id": id, "question": question, "answer": "1",
            "alternatives": [], "source": "p.jsonl:1", "key": f"key-{id}", "shard": 0,
        }
        for id, question in QUESTIONS.items()
    ]  # fmt: skip
    name = verdict_keys(recipe)
    verdicts = [
        {
            "run_id": "run", "problem_id": row["problem_id"], "key": name(row["key"], None),
            "rank": row["rank"], "outcome": OUTCOMES.get(row["problem_id"], "correct"),
            "method": "exact", "reason": "as it is made", "answer": "1",
        }
        for row in trajectories
    ]  # fmt: skip
    made = {"problems": problems, "trajectories": trajectories, "verdicts": verdicts}
    for table, rows in made.items():
        lake.tables.append_once(
            table, pa.Table.from_pylist(rows, schema=SCHEMAS[table]), f"run/{table}"
        )


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setattr(artifacts, "table", lambda *_: None)
    item = json.dumps({"id": "trains-7", "question": EXAM})
    (tmp_path / "exam.jsonl").write_text(f"{item}\n")
    return open_lake(str(tmp_path / "lake"), create=True)


def run(lake: Lake, tmp_path: Path, publish: str) -> dict[str, int]:
    """All three stages, each a second time as after a crash; returns the run's counts."""
    fill(lake, parse_recipe(f"{RECIPE}publish: {publish}\n"), tmp_path)
    counts: dict[str, int] = {}
    for _ in range(2):
        selected = select_records.fn(lake.uri, "run")
        deduplicate.fn(lake.uri, "run")
        counts = decontaminate.fn(lake.uri, "run", selected)
    return counts


def test_each_problem_ends_in_one_place_and_all_that_is_dropped_has_its_evidence(
    lake: Lake, tmp_path: Path
) -> None:
    counts = run(lake, tmp_path, "{keep: all}")
    assert counts == {
        "problems": 6, "records": 1, "wrong": 1, "quarantined": 4, "correct": 4, "rows": 1,
        "duplicates": 2, "contaminated": 2,
    }  # fmt: skip
    (kept,) = (row for b in read_candidates(lake, "run") for row in b.to_pylist())
    assert (kept["problem_id"], kept["rank"]) == ("clean", 0)
    assert kept["messages"][1]["content"] == "<think>\n" + text("clean")

    rows = query(lake, "select * from dropped order by stage desc, problem_id, rank").to_pylist()
    evidence = ("stage", "problem_id", "rank", "kind", "of", "source", "similarity")
    assert [tuple(row[name] for name in evidence) for row in rows] == [
        ("deduplicate", "again", 0, "exact", "clean", "", 1.0),
        ("deduplicate", "clean", 1, "exact", "0", "", 1.0),
        ("decontaminate", "exam", 0, "overlap", "trains-7", "exam.jsonl", None),
        ("decontaminate", "recited", 0, "overlap", "trains-7", "exam.jsonl", None),
    ]
    assert all(row["matched"] in EXAM and row["words"] >= 13 for row in rows[2:])

    rows = query(lake, "select stage, problem_id, reason from quarantine order by 2").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("deduplicate", "again", "exact duplicate of problem clean (similarity 1.00)"),
        ("decontaminate", "exam", "27 words in a row of the question stand in exam.jsonl, "
         "item trains-7"),
        ("decontaminate", "recited", "27 words in a row of the response stand in exam.jsonl, "
         "item trains-7"),
        ("verify", "unsure", "undecided: as it is made"),
    ]  # fmt: skip


def test_the_best_trajectory_alone_has_no_duplicate_in_its_own_beam(
    lake: Lake, tmp_path: Path
) -> None:
    counts = run(lake, tmp_path, "{keep: best}")
    assert (counts["rows"], counts["duplicates"]) == (1, 1)
    checked = load_checked(lake, "run")
    assert (checked["words"], checked["dropped"]) == (13, 2)
    assert [(one["name"], one["items"]) for one in checked["sets"]] == [("exam.jsonl", 1)]


def test_what_an_earlier_release_asks_is_not_asked_again(lake: Lake, tmp_path: Path) -> None:
    earlier = {field.name: None for field in SCHEMAS["records"]}
    earlier |= {"problem_id": "old", "question": APPLES, "rank": 0, "score": 0.5}
    rows = pa.Table.from_pylist([earlier], schema=SCHEMAS["records"])
    publish(lake, "earlier", rows, "before", "f", {"holds": True}, {})
    run(lake, tmp_path, "{keep: best}\ndeduplicate: {against: [earlier]}")
    sql = "select problem_id, of, source, reason from dropped where stage = 'deduplicate'"
    found = query(lake, f"{sql} order by problem_id").to_pylist()
    sentence = "exact duplicate of problem old in earlier@1 (similarity 1.00)"
    assert [tuple(row.values()) for row in found] == [
        (problem_id, "old", "earlier@1", sentence) for problem_id in ("again", "clean")
    ]
