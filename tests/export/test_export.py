"""What a trainer finds in the files, held against the lake they came from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cord.errors import CordError, UsageError
from cord.export import PairOptions, export
from cord.lake import Lake
from cord.lake.releases.manifest import Manifest
from cord.lake.tables.query import query

Released = tuple[Lake, Manifest]


def written(released: Released, how: str, path: Path, **options: Any) -> list[dict[str, Any]]:
    exported = export(*released, how, path, PairOptions(**options) if options else None)
    rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    assert len(rows) == exported.rows > 0
    assert len({row["problem_id"] for row in rows}) == exported.problems
    return rows


def test_step_pairs_are_kept_and_dropped_proposals_on_one_prefix(
    released: Released, tmp_path: Path
) -> None:
    lake, _ = released
    rows = written(released, "step-dpo", tmp_path / "out.jsonl", most=9, min_gap=0.3)
    steps = query(lake, "select problem_id, round, text, teacher, score, kept from steps")
    scores = {(s["problem_id"], s["round"], s["text"], s["teacher"]): s for s in steps.to_pylist()}
    deep = 0
    for row in rows:
        where = (row["problem_id"], row["round"])
        chosen = scores[*where, row["chosen"], row["teachers"][0]]
        rejected = scores[*where, row["rejected"], row["teachers"][1]]
        assert chosen["kept"] and not rejected["kept"]
        assert row["gap"] == pytest.approx(math.log(chosen["score"] / rejected["score"]))
        assert row["gap"] >= 0.3
        question, _, prefix = row["prompt"].partition("\n\n<think>\n")
        assert question.startswith("Start ")
        assert prefix.count("### Step") == row["round"]
        deep += bool(prefix)
    assert deep, "pairs in the midst of trajectories are among them"
    assert len({(r["prompt"], r["chosen"], r["rejected"]) for r in rows}) == len(rows)
    few = written(released, "step-dpo", tmp_path / "few.jsonl", most=1)
    assert len({(row["prompt"], row["round"]) for row in few}) == len(few)


def test_pairs_of_trajectories_are_a_record_and_a_worse_one_of_its_problem(
    released: Released, tmp_path: Path
) -> None:
    lake, _ = released
    rows = written(released, "dpo", tmp_path / "out.jsonl", most=9)
    record = {
        (r["problem_id"], r["messages"][1]["content"]): r["score"]
        for r in query(lake, "select problem_id, messages, score from records").to_pylist()
    }
    judged = query(
        lake,
        "select t.problem_id, t.text, t.finished, t.score, v.outcome from trajectories t "
        "join verdicts v on v.problem_id = t.problem_id and v.rank = t.rank",
    ).to_pylist()
    known = {(t["problem_id"], t["text"]): t for t in judged}
    for row in rows:
        assert row["prompt"].endswith("\n\n<think>\n")
        score = record[row["problem_id"], f"<think>\n{row['chosen']}"]
        other = known[row["problem_id"], row["rejected"]]
        assert other["finished"]
        if row["because"] == "wrong":
            assert other["outcome"] == "wrong"
        else:
            assert other["outcome"] == "correct" and row["gap"] >= 0.1
        assert row["gap"] == pytest.approx(math.log(score / other["score"]))
    assert {row["because"] for row in rows} == {"wrong", "scored lower"}


def test_the_students_own_template_words_the_prompt(released: Released, tmp_path: Path) -> None:
    plain = written(released, "step-dpo", tmp_path / "plain.jsonl", most=1)
    own = written(released, "step-dpo", tmp_path / "own.jsonl", most=1, tokenizer="cord:ada")
    assert len(plain) == len(own)
    for row, same in zip(own, plain, strict=True):
        question, _, prefix = same["prompt"].partition("\n\n<think>\n")
        assert question in row["prompt"]
        assert row["prompt"].endswith(f"<|assistant|><think>\n{prefix}")
        assert row["chosen"] == same["chosen"]


def test_parquet_holds_what_json_lines_hold(released: Released, tmp_path: Path) -> None:
    for how in ("sft", "sharegpt", "dpo", "step-dpo"):
        lines = written(released, how, tmp_path / f"{how}.jsonl")
        export(*released, how, tmp_path / f"{how}.parquet")
        assert pq.read_table(tmp_path / f"{how}.parquet").to_pylist() == lines


def test_what_cannot_be_written_is_said_and_leaves_nothing(
    released: Released, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="there are: sft, sharegpt, axolotl, dpo, step-dpo"):
        export(*released, "kto", tmp_path / "out.jsonl")
    with pytest.raises(UsageError, match="--format dpo and step-dpo"):
        export(*released, "sft", tmp_path / "out.jsonl", PairOptions(most=1))
    nowhere = str(tmp_path / "nowhere")  # a mere name would be looked for on the hub
    with pytest.raises(UsageError, match=r"--tokenizer .*nowhere: it cannot be loaded"):
        export(*released, "dpo", tmp_path / "out.jsonl", PairOptions(tokenizer=nowhere))
    with pytest.raises(CordError, match="cannot be written"):
        export(*released, "sft", tmp_path / "no such folder" / "out.jsonl")
    assert list(tmp_path.iterdir()) == []
