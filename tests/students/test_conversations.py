"""Conversations out of a release, a run and a file: the very texts, each once, in one order."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cord.errors import UsageError
from cord.lake import Lake, open_lake
from cord.lake.releases.release import publish
from cord.lake.runs.run import RunDocument, now, save_run
from cord.lake.tables.query import query
from cord.lake.tables.schemas import SCHEMAS
from cord.students.conversations import read_conversations
from cord.students.recipe import TrainingData

HERE = Path()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A run of three problems: one right, one wrong, one that did not finish; its release."""
    lake = open_lake(str(tmp_path / "lake"), create=True)
    save_run(lake, RunDocument(run_id="r", recipe="small", fingerprint="f", created_at=now()))
    beams = {
        "b": [("### Step 1. b\n</think>\n\n\\boxed{1}", True), ("second", True)],
        "a": [("### Step 1. unfinished", False), ("### Step 1. a\n</think>\n\n\\boxed{9}", True)],
        "c": [("### Step 1. for ever", False)],
    }
    problems = [
        {"problem_id": id_, "question": f"{id_}?", "answer": "1", "key": f"k{id_}", "shard": 0}
        for id_ in beams
    ]
    trajectories = [
        {"problem_id": id_, "key": f"k{id_}", "rank": rank, "text": text, "finished": finished}
        for id_, beam in beams.items()
        for rank, (text, finished) in enumerate(beam)
    ]
    for table, rows in (("problems", problems), ("trajectories", trajectories)):
        full = [dict.fromkeys(SCHEMAS[table].names) | {"run_id": "r"} | row for row in rows]
        lake.tables.append_once(table, pa.Table.from_pylist(full, SCHEMAS[table]), f"r/{table}")
    said = [
        {"role": "user", "content": "b?"},
        {"role": "assistant", "content": "<think>\n" + beams["b"][0][0]},
    ]
    record = dict.fromkeys(SCHEMAS["records"].names)
    record |= {"problem_id": "b", "question": "b?", "answer": "1", "messages": said, "rank": 0}
    record |= {"run_id": "r", "score": 1.0}
    rows = pa.Table.from_pylist([record], SCHEMAS["records"])
    publish(lake, "small", rows, "r", "f", {"success": True}, {"problems": 3})
    return lake


def read(lake: Lake | None = None, seed: int = 0, folder: Path = HERE, **data: object):
    return read_conversations(TrainingData.model_validate(data), folder, lake, seed)


def test_a_release_gives_its_records_and_is_named_with_its_version(lake):
    for name in ("small", "small@1"):
        found = read(lake, release=name)
        assert found.source == "release small@1" and found.available == 1
        (row,) = found.rows
        assert (row.id, row.question) == ("b", "b?")
        assert row.text == "### Step 1. b\n</think>\n\n\\boxed{1}", (
            "thinking is opened by the prompt"
        )


def test_a_run_gives_the_best_finished_trajectory_of_each_problem_whatever_its_verdict(lake):
    found = read(lake, run="r")
    assert [(row.id, row.text.partition("\n")[0]) for row in found.rows] == [
        ("a", "### Step 1. a"),
        ("b", "### Step 1. b"),
    ]


def test_a_file_of_the_same_messages_is_the_same_data(lake, tmp_path):
    rows = query(lake, "select problem_id, messages, score from records").to_pylist()
    (tmp_path / "sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "sft.parquet")
    for name in ("sft.jsonl", "sft.parquet"):
        found = read(folder=tmp_path, file=name)
        assert found.fingerprint == read(lake, release="small").fingerprint


def test_a_limit_draws_the_same_ones_for_the_same_seed(tmp_path):
    def row(number: int) -> dict[str, object]:
        said = [{"role": "user", "content": f"{number}?"}, {"role": "assistant", "content": "x"}]
        return {"problem_id": f"p{number:03}", "messages": said}

    lines = [json.dumps(row(number)) for number in range(50)]
    (tmp_path / "f.jsonl").write_text("\n".join(lines))
    (tmp_path / "g.jsonl").write_text("\n".join(reversed(lines)))
    of = {"folder": tmp_path, "limit": 10}
    first = read(file="f.jsonl", seed=1, **of)
    assert len(first.rows) == 10 and first.available == 50
    assert first.rows == read(file="g.jsonl", seed=1, **of).rows, "whatever the order of the file"
    assert first.rows != read(file="f.jsonl", seed=2, **of).rows
    assert len(read(file="f.jsonl", folder=tmp_path, limit=99).rows) == 50


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "holds nothing to learn from"),
        (b'{"messages": [{"role": "user", "content": "q"}]}', "f.jsonl:1: no conversation"),
        (b'{"text": "x"}', "f.jsonl:1: no conversation"),
        (b"[1]", "f.jsonl:1: no conversation"),
        (b'{"messages": ', "f.jsonl:1: not valid JSON"),
        (b"\xff\xfe", "f.jsonl:1: not valid JSON"),
    ],
)
def test_a_file_of_something_else_is_refused_by_its_line(tmp_path, content, sentence):
    (tmp_path / "f.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        read(folder=tmp_path, file="f.jsonl")


def test_what_is_not_there_is_said(lake, tmp_path):
    for data, sentence in (
        ({"release": "smal"}, "did you mean 'small'"),
        ({"release": "small@7"}, "there are small@1"),
        ({"run": "q"}, "there is no run 'q'"),
        ({"file": "no.jsonl"}, "No such file"),
    ):
        with pytest.raises(UsageError, match=sentence):
            read(lake, folder=tmp_path, **data)
    with pytest.raises(UsageError, match="name it with --lake"):
        read(release="small")
