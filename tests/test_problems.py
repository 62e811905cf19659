import gzip
import json
import math
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cord.errors import CordError, ProblemsError
from cord.problems import ProblemSet, cut_shards, read_problems, shards_for
from cord.recipe import ProblemSource


def row(id_: object = "a", question: object = "1+1?", answer: object = "2") -> dict[str, object]:
    return {"id": id_, "question": question, "answer": answer}


def write(path: Path, *lines: object) -> Path:
    """Write lines: bytes as they are, anything else as JSON."""
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in raw))
    return path


def read(path: Path, **settings: object) -> ProblemSet:
    found = read_problems(ProblemSource(path=path.name, **settings), path.parent)  # type: ignore[arg-type]
    assert found.rows == len(found.problems) + len(found.quarantined)
    return found


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "b", "question": "tor', "not valid JSON at character 25"),
        (b'{"question": "\xff\xfe", "answer": "2"}', "not valid UTF-8 at byte 15"),
        (b'["b", "1+1?", "2"]', "not a JSON object"),
        (b'{"question": "q", "answer": NaN}', "NaN is no JSON number"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"answer": ' + b"9" * 5000 + b"}", "not valid JSON"),
        ({"id": "b", "question": "1+1?"}, "no column 'answer'"),
        (row("b", question=" "), "the question ('question') is empty"),
        (row("b", question=None), "the question ('question') is empty"),
        (row("b", question=7), "the question ('question') is a number, not a text"),
        (row("b", answer=""), "the answer ('answer') is empty"),
        (row("b", answer=[]), "empty list"),
        (row("b", answer={"x": 1}), "the answer ('answer') is an object"),
        (row("b", answer=True), "the answer ('answer') is true or false"),
        (row("b", question="\ud800"), "half a surrogate pair"),
        (row("a"), "duplicate id 'a': it stands already at p.jsonl:1"),
        (row(["b"]), "the id ('id') is a list"),
        (
            b'{"id": "b", "question": "q", "answer": 1, "answer": 2}',
            "the key 'answer' stands twice",
        ),
        (b'{"id": "b", "question": "q", "answer": 1e-999}', "beyond 1e\u00b1400"),
        (b'{"id": "b", "question": "q", "answer": 1e99999999999999999999}', "out of range"),
    ],
)
def test_a_bad_row_is_quarantined_with_its_reason_and_the_rest_goes_on(
    tmp_path: Path, line: object, reason: str
) -> None:
    found = read(write(tmp_path / "p.jsonl", row("a"), line, row("c")))
    assert [problem.id for problem in found.problems] == ["a", "c"]
    (bad,) = found.quarantined
    assert reason in bad.reason
    assert (bad.stage, bad.source) == ("read", "p.jsonl:2")
    assert 0 < len(bad.content) <= 10_000
    bad.content.encode()


def test_an_answer_rule_that_finds_nothing_quarantines_the_row(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", row("a", answer="2+2\n#### 1,234"), row("b", answer="4"))
    found = read(path, answer_rule="gsm8k")
    assert [problem.answer for problem in found.problems] == ["1234"]
    assert "no '#### answer'" in found.quarantined[0].reason


def test_ids_and_answers_become_text(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.jsonl",
        row(7, answer=27.0),
        row("007", answer=[0.5, "1/2", "1/2"]),
        row(8.0, answer=1e-7),
    )
    found = read(path)
    assert [(p.id, p.answers) for p in found.problems] == [
        ("7", ("27",)),
        ("007", ("0.5", "1/2")),
        ("8", ("0.0000001",)),
    ]


def test_a_number_keeps_all_the_digits_that_were_written(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", b'{"question": "pi?", "answer": 3.14159265358979323846}')
    assert read(path).problems[0].answer == "3.14159265358979323846"


def test_a_parquet_file_of_no_rows_does_not_stop_those_beside_it(tmp_path: Path) -> None:
    rows = pa.Table.from_pylist([row("a"), row("b")])
    (tmp_path / "set").mkdir()
    pq.write_table(rows[:0], tmp_path / "set/0.parquet")
    pq.write_table(rows, tmp_path / "set/1.parquet")
    found = read(tmp_path / "set")
    assert [problem.source for problem in found.problems] == ["set/1.parquet:1", "set/1.parquet:2"]


def test_a_value_that_python_cannot_hold_costs_its_own_row(tmp_path: Path) -> None:
    zoned = pa.array([0], pa.timestamp("s", tz="Nowhere/Land"))
    pq.write_table(pa.table({"question": ["1?"], "answer": zoned}), tmp_path / "p.parquet")
    (bad,) = read(tmp_path / "p.parquet").quarantined
    assert "column 'answer' holds a value that cannot be read" in bad.reason


def test_a_name_that_is_no_text_can_be_printed(tmp_path: Path) -> None:
    path = write(tmp_path / "set/p.jsonl", {"\ud800" * 99: 1, "answer": 1})
    with pytest.raises(ProblemsError) as caught:
        read(path)
    assert len(str(caught.value).encode()) < 500
    path.write_bytes(json.dumps(row()).encode())
    path.rename(path.with_name(os.fsdecode(b"\xff.jsonl")))
    assert read(path.parent).problems[0].source.encode() == rb"set/\xff.jsonl:1"


def test_a_link_to_itself_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").symlink_to("p.jsonl")
    with pytest.raises(ProblemsError, match=r"p\.jsonl"):
        read(tmp_path / "p.jsonl")


def test_without_ids_a_question_names_itself_and_its_repetition_is_a_duplicate(
    tmp_path: Path,
) -> None:
    lines = [{"q": text, "a": "1"} for text in ("one?", "two?", " one? ")]
    first = read(write(tmp_path / "p.jsonl", *lines), question="q", answer="a")
    again = read(write(tmp_path / "r.jsonl", *lines[1:]), question="q", answer="a")
    assert first.problems[1].id == again.problems[0].id
    assert "the same question stands at p.jsonl:1" in first.quarantined[0].reason


def test_a_line_may_hold_other_line_separators_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    line = json.dumps(row(question="a\u2028b\u0085c"), ensure_ascii=False).encode()
    found = read(write(tmp_path / "p.jsonl", b"\xef\xbb\xbf" + line, b"", b" \r"))
    assert found.rows == 1
    assert found.problems[0].question == "a\u2028b\u0085c"


def test_a_line_beyond_the_limit_is_set_aside_without_being_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", row("a"), row("b", "x" * (17 << 20)), row("c"))
    found = read(path)
    assert [problem.source for problem in found.problems] == ["p.jsonl:1", "p.jsonl:3"]
    assert "longer than 16 MiB" in found.quarantined[0].reason


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet"])
def test_every_kind_of_file_gives_the_same_problems(tmp_path: Path, kind: str) -> None:
    rows = [row(str(n), f"{n}+1?", str(n + 1)) for n in range(600)]
    path = tmp_path / f"p.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=250)
    else:
        raw = "".join(json.dumps(line) + "\n" for line in rows).encode()
        path.write_bytes(gzip.compress(raw) if kind.endswith("gz") else raw)
    found = read(path)
    assert [(p.id, p.question, p.answer) for p in found.problems] == [
        (line["id"], line["question"], line["answer"]) for line in rows
    ]
    assert found.problems[599].source == f"{path.name}:600"
    assert len(read(path, limit=300).problems) == 300


def test_bad_values_in_parquet_cost_their_own_row(tmp_path: Path) -> None:
    texts = pa.array([b"one?", b"\xff\xfe", b"three?", None], pa.binary()).cast(
        pa.string(), safe=False
    )
    answers = pa.array([["1", "1.0"], ["2"], [], ["4"]])
    pq.write_table(pa.table({"question": texts, "answer": answers}), tmp_path / "p.parquet")
    found = read(tmp_path / "p.parquet")
    assert [p.answers for p in found.problems] == [("1", "1.0")]
    reasons = [(bad.source, bad.reason) for bad in found.quarantined]
    assert [source for source, _ in reasons] == ["p.parquet:2", "p.parquet:3", "p.parquet:4"]
    assert "cannot be read" in reasons[0][1]
    assert "empty list" in reasons[1][1]
    assert "empty" in reasons[2][1]


def test_a_folder_is_read_file_by_file_in_order(tmp_path: Path) -> None:
    write(tmp_path / "set/b.jsonl", row("b"))
    write(tmp_path / "set/a/z.jsonl", row("a"), row("b"))
    write(tmp_path / "set/_delta_log/0.jsonl", row("x"))
    write(tmp_path / "set/.hidden.jsonl", row("y"))
    write(tmp_path / "set/README.md", b"# read me")
    found = read_problems(ProblemSource(path="set"), tmp_path)
    assert [problem.source for problem in found.problems] == ["set/a/z.jsonl:1", "set/a/z.jsonl:2"]
    assert "at set/a/z.jsonl:2" in found.quarantined[0].reason


def test_a_column_that_no_row_has_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"Questions": "1?", "answer": "1"}, b"torn")
    with pytest.raises(ProblemsError) as caught:
        read(path)
    assert str(caught.value) == (
        "problems.question: no row of p.jsonl has a column 'question'; "
        "did you mean 'Questions'? its columns are Questions, answer"
    )
    with pytest.raises(ProblemsError, match=r"problems\.id: no row of p\.jsonl has a column 'uid'"):
        read(path, question="Questions", id="uid")


def test_a_source_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError) as caught:
        read(tmp_path / "no.jsonl")
    assert "no file or folder no.jsonl" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert str(Path.cwd()) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.jsonl", b"", "there are no rows in it"),
        ("p.jsonl", b"\n \n", "there are no rows in it"),
        ("p.txt", b"{}", "its ending does not say what it is"),
        ("p.json", b'[\n{"question": "1?"}\n]', "one JSON document"),
        ("p.jsonl.gz", gzip.compress(random.Random(7).randbytes(5000), mtime=0)[:3000], "torn"),
        ("p.parquet", b"PAR1 torn", "cannot be read as Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_an_error(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ProblemsError, match=message):
        read(tmp_path / name)


def test_reading_leaves_nothing_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets.config

    home = tmp_path / "home"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", home)
    pq.write_table(pa.Table.from_pylist([row()]), tmp_path / "p.parquet")
    read(tmp_path / "p.parquet")
    assert not home.exists()


LINES = st.lists(
    st.binary(max_size=40).map(lambda line: line.replace(b"\n", b" "))
    | st.dictionaries(
        st.sampled_from(["id", "question", "answer", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=4,
        ),
    ).map(lambda value: json.dumps(value).encode()),
    max_size=12,
)


@given(lines=LINES, compressed=st.booleans(), cut=st.integers(0, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_in_a_file_every_row_is_accounted_for(
    tmp_path: Path, lines: list[bytes], compressed: bool, cut: int
) -> None:
    raw = b"\n".join(lines)
    data = gzip.compress(raw, mtime=0) if compressed else raw
    whole = not compressed or cut == 0
    (tmp_path / "p.jsonl").write_bytes(data[: len(data) - cut] if not whole else data)
    try:
        found = read(tmp_path / "p.jsonl")
    except CordError:
        return  # torn, empty, or without the columns; nothing else may be raised
    if whole:
        first, *others = raw.split(b"\n")
        lines = [first.removeprefix(b"\xef\xbb\xbf"), *others]
        assert found.rows == sum(bool(line.strip()) for line in lines)
    assert len({problem.id for problem in found.problems}) == len(found.problems)
    for problem in found.problems:
        assert problem.id and problem.question.strip() and all(problem.answers)
        "".join((problem.id, problem.question, *problem.answers)).encode()


@settings(deadline=None)
@given(size=st.integers(0, 300), count=st.integers(1, 50))
def test_shards_are_even_in_order_and_never_empty(size: int, count: int) -> None:
    ids = [str(n) for n in range(size)]
    shards = cut_shards(ids, count)
    assert [id_ for shard in shards for id_ in shard.problem_ids] == ids
    assert [shard.index for shard in shards] == list(range(min(size, count)))
    if shards:
        sizes = [len(shard.problem_ids) for shard in shards]
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) == math.ceil(size / count) or size < count


def test_a_column_may_say_what_kind_of_answer_a_problem_has(tmp_path: Path) -> None:
    file = write(
        tmp_path / "p.jsonl",
        row("a") | {"kind": "Span"},
        row("b") | {"kind": None},
        row("c") | {"kind": ""},
        row("d") | {"kind": "poem"},
        row("e") | {"kind": 7},
        row("f"),
    )
    found = read(file, domain="kind")
    assert [(p.id, p.domain) for p in found.problems] == [("a", "span"), ("b", None), ("c", None)]
    reasons = [q.reason for q in found.quarantined]
    assert reasons[0].startswith("the domain ('kind') is 'poem'; there is: math, numeric, choice")
    assert reasons[1].startswith("the domain ('kind') is a number; there is: math")
    assert reasons[2] == "no column 'kind' in this row"


def test_a_domain_column_that_no_row_has_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"problems.domain: no row .* has a column 'kind'"):
        read(write(tmp_path / "p.jsonl", row("a")), domain="kind")


def test_a_part_of_the_problems_makes_as_large_shards_as_the_whole() -> None:
    assert shards_for(2000, 2000, count=8, workers=2) == 8
    assert shards_for(500, 2000, count=8, workers=1) == 2
    assert shards_for(20, 2020, count=800, workers=2) == 8
    assert shards_for(20, 2020, count=8, workers=4) == 4, "every worker has one"
    assert shards_for(20, 2020, count=2, workers=4) == 2, "never more than were asked for"
    assert shards_for(0, 0, count=8, workers=2) == 2  # of none, none are cut
