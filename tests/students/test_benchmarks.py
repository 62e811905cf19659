"""Benchmarks out of the data sets' real rows, as files and as the hub gives them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cord.errors import ProblemsError
from cord.students.benchmarks import PUBMEDQA_TASK, TATQA_TASK, read_benchmark
from cord.students.recipe import Benchmark
from cord.verification import verify

DATA = Path(__file__).parents[3] / "shared" / "data"
real = pytest.mark.skipif(not DATA.exists(), reason="the real data are not here")


def benchmark(path: Path, rule: str, **changes: object) -> Benchmark:
    problems = {"path": str(path), **changes}
    return Benchmark.model_validate({"name": "b", "problems": problems, "rule": rule})


@real
def test_every_question_of_tatqa_is_a_problem_behind_its_table_and_text():
    read = read_benchmark(benchmark(DATA / "tatqa_dev.jsonl", "tatqa"), Path())
    rows = [json.loads(line) for line in (DATA / "tatqa_dev.jsonl").read_text().splitlines()]
    assert len(read.problems) == sum(len(row["questions"]) for row in rows)
    assert not read.quarantined and read.rows == len(rows)
    first = read.problems[0]
    assert first.id == rows[0]["questions"][0]["uid"]
    table, _, rest = first.question.partition("\n\nSales by Contract Type")
    assert table.splitlines()[2] == "Fixed Price | $  1,452.4 | $  1,146.2 | $  1,036.9"
    assert rest.partition(TATQA_TASK)[2].strip() == rows[0]["questions"][0]["question"]
    scaled = next(p for p in read.problems if p.answer == "-22.22 percent")
    assert verify("tatqa", r"It fell. \boxed{-22.22\%}", scaled.answers).outcome == "correct"


@real
def test_tatqa_as_the_hub_s_library_reads_it_is_the_same(tmp_path):
    """Its answers are numbers, texts and lists in one column, which Arrow has no type for."""
    import datasets

    rows = [json.loads(line) for line in (DATA / "tatqa_dev.jsonl").read_text().splitlines()]
    (tmp_path / "tat.json").write_text(json.dumps(rows))
    files = [str(tmp_path / "tat.json")]
    table = datasets.load_dataset("json", data_files=files, split="train", cache_dir=str(tmp_path))
    table.to_parquet(str(tmp_path / "tat.parquet"))
    from_hub = read_benchmark(benchmark(tmp_path / "tat.parquet", "tatqa"), Path())
    from_file = read_benchmark(benchmark(DATA / "tatqa_dev.jsonl", "tatqa"), Path())
    assert [(p.id, p.question, p.answer) for p in from_hub.problems] == [
        (p.id, p.question, p.answer) for p in from_file.problems
    ]


@real
def test_pubmedqa_is_read_in_its_own_form_and_in_the_hub_s(tmp_path):
    path = DATA / "pubmedqa_labelled.jsonl.gz"
    read = read_benchmark(benchmark(path, "pubmedqa"), Path())
    assert len(read.problems) == 900 and {p.answer for p in read.problems} == {"yes", "no", "maybe"}
    first = read.problems[0]
    assert first.id == "21645374" and first.question.startswith("Programmed cell death (PCD)")
    assert first.question.endswith(
        f"{PUBMEDQA_TASK}\n\nDo mitochondria play a role in remodelling lace plant leaves during "
        "programmed cell death?"
    )
    row = {
        "pubid": 21645374,
        "question": first.question.rsplit("\n\n", 1)[1],
        "context": {"contexts": first.question.split(f"\n\n{PUBMEDQA_TASK}")[0].split("\n")},
        "long_answer": "...",
        "final_decision": "yes",
    }
    (tmp_path / "hub.jsonl").write_text(json.dumps(row) + "\n")
    (hub,) = read_benchmark(benchmark(tmp_path / "hub.jsonl", "pubmedqa"), Path()).problems
    assert (hub.id, hub.question, hub.answer) == (first.id, first.question, first.answer)


@real
@pytest.mark.parametrize("name", ["aime24", "math500", "amc"])
def test_mathematics_is_read_by_the_columns_that_the_recipe_names(name):
    source = benchmark(DATA / f"{name}.jsonl", "math", question="problem")
    read = read_benchmark(source.model_copy(update={"limit": 20}), Path())
    assert len(read.problems) == 20 and all(p.answer for p in read.problems)


def test_a_row_that_cannot_be_used_is_named_and_none_usable_is_an_error(tmp_path):
    good = {"pmid": "1", "QUESTION": "q?", "CONTEXTS": ["c"], "final_decision": "yes"}
    rows = [good, {**good, "pmid": "2", "CONTEXTS": "c"}, good, {"pmid": "3"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "torn")
    read = read_benchmark(benchmark(tmp_path / "p.jsonl", "pubmedqa"), Path())
    assert [p.id for p in read.problems] == ["1"] and read.rows == 5
    reasons = [q.reason for q in read.quarantined]
    assert "'CONTEXTS'" in reasons[0] and "stands twice" in reasons[1] and "question" in reasons[2]
    assert read.quarantined[1].source.endswith("p.jsonl:3")
    with pytest.raises(ProblemsError, match=r"benchmark b: no usable problem .* 'table'"):
        read_benchmark(benchmark(tmp_path / "p.jsonl", "tatqa"), Path())
    with pytest.raises(ProblemsError, match=r"benchmark b: problems\.path: there is no file"):
        read_benchmark(benchmark(tmp_path / "nothing.jsonl", "tatqa"), Path())
