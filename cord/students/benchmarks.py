"""Benchmarks: problems with their answers, out of whatever rows a data set has.

`math` and `choice` are plain: the columns that the recipe names. PubMedQA and TAT-QA give a
question something to read, which is put in front of it:

| rule | a row is | the reference is |
|---|---|---|
| `pubmedqa` | an abstract (`CONTEXTS`; the hub: `context`), a question | `final_decision` |
| `tatqa` | a table, paragraphs, several questions | `1496.5 million`, or spans of text |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from pathlib import Path

from cord.errors import ProblemsError
from cord.problems import ProblemSet, read_problems
from cord.sources import RawRow, open_rows
from cord.students.recipe import Benchmark
from cord.types import Problem, Quarantined
from cord.verification.tatqa import written_reference

PUBMEDQA_TASK = "Answer the question from the abstract with yes, no or maybe."
TATQA_TASK = (
    "Answer the question from the table and the text. Give a number with its scale (thousand, "
    "million, billion, percent) where it has one; round to two decimals. Separate several answers "
    "by semicolons."
)
_PUBMEDQA_COLUMNS = ("pmid", "pubid", "QUESTION", "question", "CONTEXTS", "context",
                     "final_decision")  # fmt: skip
_TATQA_COLUMNS = ("table", "paragraphs", "questions")


class _UnusableError(Exception):
    """Why a row gives no problem."""


def read_benchmark(benchmark: Benchmark, folder: Path) -> ProblemSet:
    """The problems of a benchmark whose recipe stands in `folder`.

    Raises `ProblemsError` where its source cannot be read, or is not of its rule's form."""
    try:
        read = _read(benchmark, folder)
    except ProblemsError as error:
        raise ProblemsError(f"benchmark {benchmark.name}: {error}") from None
    if not read.problems:
        why = f": {read.quarantined[0].reason}" if read.quarantined else ""
        raise ProblemsError(
            f"benchmark {benchmark.name}: no usable problem in {benchmark.problems.path}{why}"
        )
    return replace(read, problems=read.problems[: benchmark.limit])


def _read(benchmark: Benchmark, folder: Path) -> ProblemSet:
    if benchmark.rule == "pubmedqa":
        return _of_rows(benchmark, folder, _PUBMEDQA_COLUMNS, _pubmedqa)
    if benchmark.rule == "tatqa":
        return _of_rows(benchmark, folder, _TATQA_COLUMNS, _tatqa)
    return read_problems(benchmark.problems, folder)


def _of_rows(
    benchmark: Benchmark,
    folder: Path,
    wanted: tuple[str, ...],
    problems_of: Callable[[RawRow], Iterator[Problem]],
) -> ProblemSet:
    problems: dict[str, Problem] = {}
    unusable: list[Quarantined] = []
    rows = 0
    with open_rows(benchmark.problems, folder, wanted) as found:
        for row in islice(found, benchmark.problems.limit):
            rows += 1
            try:
                if row.fault:
                    raise _UnusableError(row.fault)
                for problem in problems_of(row):
                    if problem.id in problems:
                        raise _UnusableError(f"its id {problem.id!r} stands twice")
                    problems[problem.id] = problem
            except _UnusableError as why:
                unusable.append(
                    Quarantined("read", str(why), source=row.source, content=row.content)
                )
    return ProblemSet(tuple(problems.values()), tuple(unusable), rows)


def _pubmedqa(row: RawRow) -> Iterator[Problem]:
    values = row.values
    context = values.get("CONTEXTS", values.get("context"))
    if isinstance(context, Mapping):  # the hub's: {contexts: [...], labels: [...]}
        context = context.get("contexts")
    question = _text(values.get("QUESTION", values.get("question")), "question")
    answer = _text(values.get("final_decision"), "final_decision").casefold()
    pieces = [_text(piece, "CONTEXTS") for piece in _items(context, "CONTEXTS")]
    id_ = _text(values.get("pmid", values.get("pubid")), "pmid")
    asked = f"{chr(10).join(pieces)}\n\n{PUBMEDQA_TASK}\n\n{question}"
    yield Problem(id_, asked, answer, source=row.source)


def _tatqa(row: RawRow) -> Iterator[Problem]:
    table = row.values.get("table")
    cells = table.get("table") if isinstance(table, Mapping) else table
    lines = [
        " | ".join(str(cell).strip() for cell in _items(line, "table"))
        for line in _items(cells, "table")
    ]
    paragraphs = [
        _mapping(one, "paragraphs") for one in _items(row.values.get("paragraphs"), "paragraphs")
    ]
    paragraphs.sort(key=_order)
    text = "\n".join(_text(one.get("text"), "paragraphs.text") for one in paragraphs)
    given = "\n".join(lines) + f"\n\n{text}\n\n{TATQA_TASK}\n\n"
    for item in _items(row.values.get("questions"), "questions"):
        question = _mapping(item, "questions")
        asked = given + _text(question.get("question"), "questions.question")
        scale = str(question.get("scale") or "")
        reference = written_reference(_answers(question.get("answer")), scale)
        if not reference:
            raise _UnusableError("a question has no answer")
        yield Problem(_text(question.get("uid"), "uid"), asked, reference, source=row.source)


def _answers(value: object) -> list[str]:
    """An answer of the data set: a number, a text, a list of texts; on the hub, where one column
    has one type, each of these as JSON."""
    plain = value
    if isinstance(value, str):
        try:
            plain = json.loads(value, parse_float=Decimal)
        except ValueError:
            return [value]
    found: list[object] = plain if isinstance(plain, list) else [plain]
    if not all(isinstance(one, str | int | float | Decimal) for one in found):
        raise _UnusableError("an answer is neither text nor number")
    return [_plain(one) if isinstance(one, Decimal) else str(one).strip() for one in found]


def _plain(number: Decimal) -> str:
    """2.10 is 2.1, and 4570576.1399999997 what it was: the hub's library keeps no more of it."""
    return format(round(number, 6).normalize(), "f")


def _order(paragraph: Mapping[str, object]) -> int:
    order = paragraph.get("order")
    return order if isinstance(order, int) else 0


def _text(value: object, name: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise _UnusableError(f"no text in its column {name!r}")
    return value.strip()


def _items(value: object, name: str) -> Sequence[object]:
    if not isinstance(value, list) or not value:
        raise _UnusableError(f"no list in its column {name!r}")
    return value


def _mapping(value: object, name: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _UnusableError(f"its column {name!r} holds something else than objects")
    return value
