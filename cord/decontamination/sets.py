"""Evaluation sets: what records are checked against.

| written in a recipe | is |
|---|---|
| `aime24`, `math500`, ... (`KNOWN`) | a set by its name, read from the hub |
| `hf:OWNER/NAME`, `hf:OWNER/NAME/SUBSET@SPLIT` | any data set on the hub; the split is `test` |
| `mine.jsonl`, `mine.jsonl.gz`, `mine.parquet`, a folder of these, `s3://...` | rows of your own |
| `mine.txt` | one item a line |

The items are in the first of the columns question, problem, prompt and text that there is, or in
the one named behind a `#`: `mine.jsonl#solution`.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cord.errors import ProblemsError
from cord.recipe import ProblemSource, find_beside
from cord.sources import RawRow, open_rows

KNOWN: Final = {
    "aime24": "hf:HuggingFaceH4/aime_2024@train#problem",
    "aime25": "hf:math-ai/aime25@test#problem",
    "amc": "hf:AI-MO/aimo-validation-amc@train#problem",
    "gsm8k-test": "hf:openai/gsm8k/main@test#question",
    "math500": "hf:HuggingFaceH4/MATH-500@test#problem",
    "minerva": "hf:math-ai/minervamath@test#question",
    "olympiadbench": "hf:Hothan/OlympiadBench/OE_TO_maths_en_COMP@train#question",
}
"""Sets by name."""

_COLUMNS = ("question", "problem", "prompt", "text")
_IDS = ("id", "unique_id", "item_id", "problem_id", "task_id", "uid")
_HUB = re.compile(
    r"hf:(?P<name>[^/@#\s]+/[^/@#\s]+)(?:/(?P<subset>[^@#\s]+))?(?:@(?P<split>[^#\s]+))?"
    r"(?:#(?P<column>.+))?"
)


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """The questions of one evaluation."""

    name: str
    """As the recipe has it."""
    source: str
    """Where it was read: a file or a data set on the hub, with its column."""
    ids: tuple[str, ...]
    """Of each item: its id in the set, else its number from 1."""
    texts: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Of the items in their order, each with a NUL behind it."""
        digest = hashlib.sha256()
        for text in self.texts:
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class EvaluationSets:
    """All sets that records are checked against; each name once."""

    sets: tuple[EvaluationSet, ...] = ()


def read_sets(against: Sequence[str], folder: Path) -> EvaluationSets:
    """The sets that a recipe in `folder` names, each once, in this order.

    Raises `ProblemsError` where one cannot be read or has no items."""
    return EvaluationSets(tuple(_read(name, folder) for name in dict.fromkeys(against)))


def is_local(name: str) -> bool:
    """Whether a set is read from this machine's disk: no network is needed."""
    return "://" not in name and not KNOWN.get(name, name).startswith("hf:")


def checked_against(sets: EvaluationSets, words: int) -> list[dict[str, str | int]]:
    """What a release's manifest and card say: each set's name, source, number of items, sha256 of
    the items, and how many words in a row made an overlap."""
    return [
        {
            "name": one.name,
            "source": one.source,
            "items": len(one.texts),
            "sha256": one.sha256,
            "words": words,
        }
        for one in sets.sets
    ]


def _read(name: str, folder: Path) -> EvaluationSet:
    try:
        found = _read_source(name, KNOWN.get(name, name), folder)
    except ProblemsError as error:
        reason = str(error).removeprefix("problems.path: ")
        raise ProblemsError(f"decontaminate, set {name!r}: {reason}{_remedy(name)}") from None
    if not any(text.strip() for text in found.texts):
        raise ProblemsError(f"decontaminate, set {name!r}: {found.source} holds no item")
    return found


def _remedy(name: str) -> str:
    """What to do about a set that cannot be read."""
    if not is_local(name):
        if name in KNOWN or _HUB.fullmatch(name):
            return ". Where there is no network, give a file of its items instead: FILE.jsonl"
        return ""
    like = difflib.get_close_matches(name.casefold(), KNOWN, n=1)
    meant = f" Did you mean {like[0]}?" if like else ""
    return f".{meant} Sets known by name: {', '.join(KNOWN)}"


def _read_source(name: str, place: str, folder: Path) -> EvaluationSet:
    hub = _HUB.fullmatch(place)
    if hub is not None:
        column = hub["column"]
        source = ProblemSource(
            source="hf", path=hub["name"], subset=hub["subset"], split=hub["split"] or "test"
        )
    elif place.startswith("hf:"):
        raise ProblemsError(
            "a data set on the hub is written hf:OWNER/NAME, hf:OWNER/NAME/SUBSET, "
            "with @SPLIT and #COLUMN behind it where they are not test and found by name"
        )
    else:
        path, column = _file_and_column(place, folder)
        if path.casefold().endswith(".txt"):
            return _read_lines(name, path, folder)
        source = ProblemSource(path=path)
    wanted = (column,) if column else _COLUMNS
    ids: list[str] = []
    texts: list[str] = []
    with open_rows(source, folder, (*wanted, *_IDS)) as rows:
        for number, row in enumerate(rows, 1):
            column = column or _choose_column(row)
            texts.append(_text(row, column))
            ids.append(_id(row) or str(number))
    where = place if place.endswith(f"#{column}") else f"{place}#{column}"
    return EvaluationSet(name, where if texts else place, tuple(ids), tuple(texts))


def _file_and_column(place: str, folder: Path) -> tuple[str, str | None]:
    """A `#` may be part of a file's name: the file that is there wins."""
    path, mark, column = place.rpartition("#")
    if mark and column and not Path(find_beside(place, folder)).exists():
        return path, column
    return place, None


def _choose_column(row: RawRow) -> str:
    if row.fault:
        raise ProblemsError(f"{row.source}: {row.fault}")
    for name in _COLUMNS:
        if name in row.columns:
            return name
    raise ProblemsError(
        f"{row.source}: none of the columns {', '.join(_COLUMNS)} is in it, but "
        f"{', '.join(row.columns[:20])}; name the one that holds the items: FILE#column"
    )


def _text(row: RawRow, column: str) -> str:
    """An item. A row that cannot be read is an error: what is not read is not checked."""
    if row.fault:
        raise ProblemsError(f"{row.source}: {row.fault}")
    value = row.values.get(column)
    if not isinstance(value, str):
        has = f"; it has {', '.join(row.columns[:20])}" if column not in row.columns else ""
        raise ProblemsError(f"{row.source}: no text in its column {column!r}{has}")
    return value


def _id(row: RawRow) -> str:
    for name in _IDS:
        value = row.values.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
    return ""


def _read_lines(name: str, path: str, folder: Path) -> EvaluationSet:
    try:
        content = Path(find_beside(path, folder)).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProblemsError(f"{path}: not valid UTF-8 at byte {error.start + 1}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProblemsError(f"{path}: cannot be read: {reason}") from None
    lines = content.split("\n")
    items = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    ids = tuple(str(number) for number, _ in items)
    return EvaluationSet(name, path, ids, tuple(line for _, line in items))
