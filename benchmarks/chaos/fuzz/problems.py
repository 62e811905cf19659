"""Whatever a problem file holds: each row is a problem or in quarantine, and nobody else's row
suffers for it."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from benchmarks.chaos.fuzz.mutation import near_json, scalars, texts, torn, written
from benchmarks.chaos.fuzz.trying import Property, RowsLost
from cord.errors import ProblemsError
from cord.problems import ProblemSet, read_problems
from cord.recipe import ProblemSource

DATA = Path(__file__).parents[4] / "shared" / "data"
NAMES = ("id", "question", "answer", "answers", "problem", "x")
SNIPPETS = (
    *(b"\n", b"\r\n", b"\r", b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b'"', b"\\"),
    *(b"\\ud800", b"\\u2028", b"NaN", b"-Infinity", b"1e999", b"1e-999", b"0.1" + b"0" * 30 + b"1"),
    *(b"9" * 5000, b"[" * 3000, b'{"a":' * 2000, b'"answer": "7", ', b'"id": "x", ', b"{}", b"[]"),
    *(b"{", b"}", b"null", b"true", b"\x1f\x8b\x08", "\u2028\x85\u00a0".encode()),
)
GOOD = ("What is 1+1?", "  Wie groß ist ∑ᵢ i?\u2028Ende", "a\x00b \U0001f9ee \\frac{1}{2}?")


@cache
def seeds() -> tuple[dict[str, Any], ...]:
    """Real rows, where the shared data is there, and a few of our own."""
    rows: list[dict[str, Any]] = [
        {"id": "a", "question": "1+1?", "answer": "2"},
        {"id": 7, "question": "Half of 27?", "answer": [13.5, "27/2"]},
        {"question": "12 dozen?", "answer": "12*12 = 144\n#### 144"},
        {"question": "Roots?", "answer": "so \\boxed{\\frac{1}{2}} it is"},
    ]
    for name in ("aime24.jsonl", "math500.jsonl", "gsm8k_test.jsonl", "tatqa_dev.jsonl"):
        if (DATA / name).is_file():
            with (DATA / name).open(encoding="utf-8") as lines:
                rows += [json.loads(line) for line, _ in zip(lines, range(10), strict=False)]
    return tuple(row for row in rows if len(written(row)) < 3000)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the columns that recipes here name."""
    row = dict(row)
    if "question" not in row:
        row["question"] = row.pop("problem", None)
    if "answer" not in row:
        row["answer"] = row.pop("solution", None)
    return row


@st.composite
def _hostile_line(draw: st.DrawFn) -> bytes:
    """A line that is nearly a row; the newline behind it is not its own."""
    row = _renamed(draw(st.sampled_from(seeds())))
    match draw(st.sampled_from(["as it is", "near", "near", "torn", "bytes", "scalars"])):
        case "near":
            line = written(draw(near_json(row, NAMES)))
        case "torn":
            line = draw(torn(written(row), SNIPPETS))
        case "bytes":
            line = draw(st.binary(max_size=30))
        case "scalars":
            line = written({name: draw(scalars) for name in NAMES[:3]})
        case _:
            line = written(row)
    return line.replace(b"\n", b" ")


@dataclass(frozen=True)
class JsonFile:
    """Lines of a file: numbers stand for good rows of our own."""

    lines: tuple[bytes | int, ...]
    newline: bytes
    bom: bool
    compressed: bool
    cut: int
    """So many bytes are missing at its end."""
    source: dict[str, Any]

    @property
    def content(self) -> bytes:
        """The file's bytes."""
        lines = [good_line(line) if isinstance(line, int) else line for line in self.lines]
        raw = (b"\xef\xbb\xbf" if self.bom else b"") + self.newline.join(lines)
        raw = gzip.compress(raw, 1, mtime=0) if self.compressed else raw
        return raw[: max(0, len(raw) - self.cut)]


def good_line(number: int) -> bytes:
    """A row that must come through whatever stands around it."""
    question, answer = good_row(number)
    return json.dumps(
        {"id": f"good-{number}", "question": question, "answer": f"#### \\boxed{{{answer}}}"},
        ensure_ascii=number % 2 == 0,
    ).encode()


def good_row(number: int) -> tuple[str, str]:
    """Its question and answer."""
    return f"{GOOD[number % len(GOOD)]} {number}", str(number * 37)


@st.composite
def json_files(draw: st.DrawFn) -> JsonFile:
    """Files of up to 8 lines, good and hostile."""
    count = draw(st.integers(0, 8))
    good = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    lines = [number if it else draw(_hostile_line()) for number, it in enumerate(good)]
    return JsonFile(
        tuple(lines),
        draw(st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n", b" \r\n"])),
        draw(st.booleans()),
        draw(st.integers(0, 5)) == 0,
        draw(st.sampled_from([0, 0, 0, 1, 2, 7, 40, 200])),
        draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "answer_rule": st.sampled_from(["as-is", "gsm8k", "boxed"]),
                    "id": st.sampled_from(["id", "uid"]),
                    "limit": st.integers(1, 9),
                },
            )
        ),
    )


def json_rows_are_accounted_for(file: JsonFile) -> None:
    """The rows are exactly the lines that are not blank, and good rows come out as they went in."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "p.jsonl").write_bytes(file.content)
        source = ProblemSource(path="p.jsonl", **file.source)
        try:
            found = read_problems(source, Path(folder))
        except ProblemsError as error:
            check_sentence(error)
            return
    check_set(found)
    if file.compressed and file.cut:
        return
    raw = gzip.decompress(file.content) if file.content[:2] == b"\x1f\x8b" else file.content
    first, *others = raw.split(b"\n")
    lines = [first.removeprefix(b"\xef\xbb\xbf"), *others]
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()][: source.limit]
    check_places(found, [f"p.jsonl:{number}" for number in numbers])
    check_good_rows(file, found, raw)


def check_good_rows(file: JsonFile, found: ProblemSet, raw: bytes) -> None:
    """Each good row that stands in the file whole is a problem with just its text."""
    if file.source.get("id") == "uid":
        return
    read = {problem.id: problem for problem in found.problems}
    whole = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    reached = places(found)
    for number in (line for line in file.lines if isinstance(line, int)):
        at = [place for place, line in enumerate(whole, 1) if line.strip() == good_line(number)]
        if len(at) == 1 and f"p.jsonl:{at[0]}" in reached:
            problem = read[f"good-{number}"]
            question, answer = good_row(number)
            rule = file.source.get("answer_rule", "as-is")
            said = {
                "as-is": f"#### \\boxed{{{answer}}}",
                "gsm8k": f"\\boxed{{{answer}}}",
                "boxed": answer,
            }[rule]
            assert (problem.question, problem.answer) == (question.strip(), said)
            assert problem.source == f"p.jsonl:{at[0]}"


def check_set(found: ProblemSet) -> None:
    """Counts add up, ids are unique, texts can be stored, reasons are sentences."""
    assert found.rows == len(found.problems) + len(found.quarantined)
    assert len({problem.id for problem in found.problems}) == len(found.problems)
    for problem in found.problems:
        for text in (problem.id, problem.question, *problem.answers, problem.source):
            assert text
            assert text == text.strip()
            text.encode()
    for bad in found.quarantined:
        assert bad.stage == "read"
        assert bad.source
        assert 0 < len(bad.reason) < 2000
        assert len(bad.content) <= 10_000
        for text in (bad.reason, bad.source, bad.problem_id, bad.content):
            text.encode()


def check_places(found: ProblemSet, expected: list[str]) -> None:
    """No row is missing, and none stands twice."""
    if missing := set(expected) - set(places(found)):
        raise RowsLost(len(missing), ", ".join(sorted(missing)))
    assert places(found) == expected


def places(found: ProblemSet) -> list[str]:
    """Where every row stands, in order."""
    both = [one.source for one in found.problems] + [one.source for one in found.quarantined]
    return sorted(both, key=lambda place: int(place.rpartition(":")[2]))


def check_sentence(error: ProblemsError) -> None:
    """It names the file or the field, can be printed, and is not a page long."""
    said = str(error)
    said.encode()
    assert "p.jsonl" in said or "p.parquet" in said or "problems." in said
    assert "Traceback" not in said
    assert len(said) < 3000


_ARROW: dict[str, Any] = {
    "string": pa.string(),
    "large_string": pa.large_string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "list": pa.list_(pa.string()),
    "numbers": pa.list_(pa.float64()),
    "struct": pa.struct([("x", pa.string())]),
    "map": pa.map_(pa.string(), pa.string()),
    "decimal": pa.decimal256(60, 20),
    "timestamp": pa.timestamp("us"),
    "nanoseconds": pa.timestamp("ns"),
    "zoned": pa.timestamp("s", tz="Nowhere/Land"),
    "date": pa.date32(),
    "duration": pa.duration("s"),
    "null": pa.null(),
    "broken": pa.string(),
    "bytes": pa.binary(),
}


def _column(kind: str, values: list[Any], numbers: list[int]) -> Any:
    """A column of this type; texts that Arrow does not take become null."""
    texts_ = [str(value).encode("utf-8", "replace").decode() for value in values]
    raw: list[Any]
    match kind:
        case "string" | "large_string":
            raw = [
                None if value is None else text for value, text in zip(values, texts_, strict=True)
            ]
        case "broken":
            broken = [
                text.encode()[: n % 5] + b"\xff" * (n % 3)
                for n, text in zip(numbers, texts_, strict=True)
            ]
            return pa.array(broken, pa.binary()).cast(pa.string(), safe=False)
        case "bytes":
            raw = [text.encode() for text in texts_]
        case "list":
            raw = [[text] * (n % 3) for n, text in zip(numbers, texts_, strict=True)]
        case "numbers":
            raw = [[n / 8, None][: n % 3] for n in numbers]
        case "struct":
            raw = [{"x": text} for text in texts_]
        case "map":
            raw = [[("x", text)] for text in texts_]
        case "bool":
            raw = [bool(n % 2) for n in numbers]
        case "null":
            raw = [None] * len(values)
        case "float64":
            raw = [float("nan") if n % 5 == 0 else n / 16 for n in numbers]
        case "decimal":
            raw = [Decimal(n) / 16 for n in numbers]
        case "date":
            return pa.array([n % 2**31 for n in numbers], pa.int32()).cast(_ARROW[kind])
        case "int64":
            raw = numbers
        case _:  # times: many a number stands for none that Python has
            return pa.array([n // 4096 for n in numbers], pa.int64()).cast(_ARROW[kind])
    return pa.array(raw, _ARROW[kind])


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file's bytes; `rows` is None where they were edited."""

    content: bytes
    rows: int | None


@st.composite
def parquet_files(draw: st.DrawFn) -> ParquetFile:
    """Small files with columns of any type, one in five torn."""
    rows = draw(st.integers(0, 4))
    columns: dict[str, Any] = {}
    for name in ("id", "question", "answer"):
        if name == "question" or draw(st.booleans()):
            kind = draw(st.sampled_from(["string", *_ARROW]))
            values = draw(st.lists(st.none() | texts, min_size=rows, max_size=rows))
            numbers = draw(st.lists(st.integers(-(2**62), 2**62), min_size=rows, max_size=rows))
            columns[name] = _column(kind, values, numbers)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    if draw(st.integers(0, 4)) == 0:
        return ParquetFile(draw(torn(buffer.getvalue(), SNIPPETS[:12])), None)
    return ParquetFile(buffer.getvalue(), rows)


def parquet_rows_are_accounted_for(file: ParquetFile) -> None:
    """The rows are those of the file, in order, each at its place."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "p.parquet").write_bytes(file.content)
        try:
            found = read_problems(ProblemSource(path="p.parquet"), Path(folder))
        except ProblemsError as error:
            check_sentence(error)
            return
    check_set(found)
    if file.rows is not None:
        check_places(found, [f"p.parquet:{number}" for number in range(1, file.rows + 1)])


PROPERTIES = (
    Property(
        "problem reader",
        "each line of JSON lines is a problem or in quarantine",
        json_files(),
        json_rows_are_accounted_for,
    ),
    Property(
        "problem reader, Parquet",
        "each row of a Parquet file is a problem or in quarantine",
        parquet_files(),
        parquet_rows_are_accounted_for,
        share=0.2,
    ),
)
