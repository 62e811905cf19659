"""Problems out of a recipe's source, and their shards.

Every row is accounted for: it becomes a problem or is quarantined with one sentence that says why.
Only a source that cannot be read at all, or that does not have a column that the recipe names, is
an error.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import get_args

from cord.answers import extract_answer
from cord.errors import ProblemsError
from cord.recipe import ProblemSource
from cord.sources import RawRow, open_rows
from cord.types import Domain, Problem, Quarantined, Shard

DEFAULT_ID_COLUMN = "id"
MAX_ID_CHARACTERS = 500
_DOMAINS: tuple[Domain, ...] = get_args(Domain)
MAX_EXPONENT = 400
"""Of a number that is written out; a double's is smaller."""


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """What was read. `rows == len(problems) + len(quarantined)`; blank lines are no rows."""

    problems: tuple[Problem, ...]
    quarantined: tuple[Quarantined, ...]
    rows: int


def read_problems(source: ProblemSource, folder: Path) -> ProblemSet:
    """Read the problems of a recipe that stands in `folder`, in the order of the source.

    Question and answer are stripped of white space around them. Raises `ProblemsError` when the
    source cannot be read, is empty, or has no column that the recipe names.
    """
    reader = _Reader(source)
    named = (source.id or DEFAULT_ID_COLUMN, source.question, source.answer, source.domain)
    wanted = tuple(column for column in named if column is not None)
    with open_rows(source, folder, wanted) as rows:
        for row in islice(rows, source.limit):
            reader.take(row)
    reader.finish()
    return ProblemSet(tuple(reader.problems), tuple(reader.quarantined), reader.rows)


class _BadRowError(Exception):
    """The row goes to quarantine; `str(error)` is the reason."""


@dataclass
class _Reader:
    source: ProblemSource
    problems: list[Problem] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    rows: int = 0
    columns: dict[str, None] = field(default_factory=dict)
    """Every column seen, in order."""
    places: dict[str, str] = field(default_factory=dict)
    """Where each id was read."""

    def take(self, row: RawRow) -> None:
        self.rows += 1
        self.columns.update(dict.fromkeys(row.columns))
        try:
            problem = self._problem(row)
        except _BadRowError as bad:
            self.quarantined.append(
                Quarantined(
                    stage="read",
                    reason=str(bad),
                    problem_id=_id_if_any(row, self.source.id or DEFAULT_ID_COLUMN),
                    source=row.source,
                    content=row.content,
                )
            )
        else:
            self.places[problem.id] = row.source
            self.problems.append(problem)

    def _problem(self, row: RawRow) -> Problem:
        if row.fault:
            raise _BadRowError(row.fault)
        question = self._question(row)
        answer, *alternatives = self._answers(row)
        id_ = self._id(row, question)
        domain = self._domain(row)
        return Problem(id_, question, answer, tuple(alternatives), row.source, domain)

    def _value(self, row: RawRow, column: str) -> object:
        if column not in row.values:
            raise _BadRowError(f"no column {column!r} in this row")
        return row.values[column]

    def _question(self, row: RawRow) -> str:
        column = self.source.question
        value = self._value(row, column)
        if value is not None and not isinstance(value, str):
            raise _BadRowError(f"the question ({column!r}) is {_kind(value)}, not a text")
        return _text(value, f"the question ({column!r})")

    def _answers(self, row: RawRow) -> list[str]:
        column = self.source.answer
        name = f"the answer ({column!r})"
        value = self._value(row, column)
        spellings = value if isinstance(value, list) else [value]
        if not spellings:
            raise _BadRowError(f"{name} is an empty list")
        found: dict[str, None] = {}
        for spelling in spellings:
            answer = extract_answer(_text(spelling, name), self.source.answer_rule)
            if answer is None:
                raise _BadRowError(f"{name} holds no {_RULES[self.source.answer_rule]}")
            found[answer] = None
        return list(found)

    def _domain(self, row: RawRow) -> Domain | None:
        column = self.source.domain
        if column is None or (value := self._value(row, column)) is None:
            return None
        name = value.strip().lower() if isinstance(value, str) else ""
        if isinstance(value, str) and not name:
            return None
        for domain in _DOMAINS:
            if name == domain:
                return domain
        told = f"{value[:100]!r}" if isinstance(value, str) else _kind(value)
        raise _BadRowError(f"the domain ({column!r}) is {told}; there is: {', '.join(_DOMAINS)}")

    def _id(self, row: RawRow, question: str) -> str:
        column = self.source.id or DEFAULT_ID_COLUMN
        value = self._value(row, column) if self.source.id else row.values.get(column)
        if value is None and self.source.id is None:
            id_ = "q-" + sha256(question.encode()).hexdigest()[:16]
            if id_ in self.places:
                raise _BadRowError(
                    f"duplicate: the same question stands at {self.places[id_]}; "
                    "rows without an id are told apart by their question"
                )
            return id_
        id_ = _text(value, f"the id ({column!r})")
        if len(id_) > MAX_ID_CHARACTERS:
            raise _BadRowError(f"the id ({column!r}) is longer than {MAX_ID_CHARACTERS} characters")
        if id_ in self.places:
            raise _BadRowError(f"duplicate id {id_!r}: it stands already at {self.places[id_]}")
        return id_

    def finish(self) -> None:
        """Raises `ProblemsError` for an empty source and for columns that it does not have."""
        path = self.source.path
        if self.rows == 0:
            raise ProblemsError(f"{path}: there are no rows in it")
        if not self.columns:
            return  # not one readable row; each is in quarantine with its reason
        named = {
            "id": self.source.id,
            "question": self.source.question,
            "answer": self.source.answer,
            "domain": self.source.domain,
        }
        missing = [
            f"problems.{key}: {_no_column(path, column, list(self.columns))}"
            for key, column in named.items()
            if column is not None and column not in self.columns
        ]
        if missing:
            raise ProblemsError("\n".join(missing))


_RULES = {"as-is": "text", "gsm8k": "'#### answer'", "boxed": r"\boxed{answer}"}


def _no_column(path: str, column: str, columns: list[str]) -> str:
    by_lower = {name.lower(): name for name in columns}
    near = difflib.get_close_matches(column.lower(), by_lower, n=1, cutoff=0.7)
    hint = f"did you mean {by_lower[near[0]]!r}? " if near else ""
    shown = ", ".join(map(_printable, columns[:20])) + (", ..." if len(columns) > 20 else "")
    return f"no row of {path} has a column {column!r}; {hint}its columns are {shown}"


def _printable(name: str) -> str:
    """A column's name, which may be anything, for a message."""
    name = name if name.isprintable() else ascii(name)
    return name if len(name) <= 60 else name[:59] + "…"


def _text(value: object, name: str) -> str:
    """A value as text, stripped; raises `_BadRowError` where it has none."""
    match value:
        case None:
            raise _BadRowError(f"{name} is empty (null)")
        case str():
            text = value.strip()
        case bool():
            raise _BadRowError(f"{name} is {_kind(value)}, not a text or number")
        case int():
            text = str(value)
        case float() | Decimal():
            text = _number(value, name)
        case _:
            raise _BadRowError(f"{name} is {_kind(value)}, not a text or number")
    if not text:
        raise _BadRowError(f"{name} is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _BadRowError(f"{name} holds half a surrogate pair, which is no Unicode") from None
    return text


def _number(value: float | Decimal, name: str) -> str:
    """27.0 is written 27, as a solution would; 1e-07 is written out."""
    if not math.isfinite(value):
        raise _BadRowError(f"{name} is not a finite number")
    number = Decimal(str(value))
    if number and abs(number.adjusted()) > MAX_EXPONENT:
        raise _BadRowError(f"{name} is a number beyond 1e±{MAX_EXPONENT}; write it as a text")
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float() | Decimal():
            return "a number"
        case dict():
            return "an object"
        case list():
            return "a list"
    return "of another type"


def _id_if_any(row: RawRow, column: str) -> str:
    try:
        return _text(row.values.get(column), "")[:MAX_ID_CHARACTERS]
    except _BadRowError:
        return ""


def shards_for(part: int, whole: int, count: int, workers: int) -> int:
    """Into how many shards to cut `part` of `whole` problems, where the whole makes `count`: as
    large ones as of the whole, but one for each worker at least. Each shard costs its commits,
    whatever is in it."""
    return max(1, min(count, workers), math.ceil(count * part / max(1, whole)))


def cut_shards(ids: Sequence[str], count: int) -> tuple[Shard, ...]:
    """Cut `ids`, in order, into at most `count` shards whose sizes differ by one at most.

    None is empty, so fewer than `count` ids make fewer shards."""
    if count < 1:
        raise ValueError("count must be at least 1")
    count = min(count, len(ids))
    size, longer = divmod(len(ids), count) if count else (0, 0)
    ends = [number * size + min(number, longer) for number in range(count + 1)]
    return tuple(
        Shard(number, tuple(ids[ends[number] : ends[number + 1]])) for number in range(count)
    )
