"""What a student reads: conversations out of a release, a run, or a file."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cord.errors import UsageError
from cord.fingerprint import fingerprint
from cord.prompts import THINK_OPEN
from cord.recipe import find_beside

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.students.recipe import TrainingData

_OPENING = THINK_OPEN + "\n"


@dataclass(frozen=True, slots=True)
class Conversation:
    """One question and the whole text that answers it."""

    id: str
    question: str
    text: str
    """Reasoning and answer, `### Step 1. ...</think>\\n\\n...`, without the opening `<think>`: that
    is the prompt's."""


@dataclass(frozen=True, slots=True)
class Conversations:
    """What was found, in the order in which training shuffles it."""

    rows: tuple[Conversation, ...]
    source: str
    """For people: `release limo@3`."""
    available: int
    """How many there were before `limit`."""

    @property
    def fingerprint(self) -> str:
        """Names the texts."""
        return fingerprint([[row.id, row.question, row.text] for row in self.rows])


def read_conversations(
    data: TrainingData, folder: Path, lake: Lake | None, seed: int
) -> Conversations:
    """Read the data of a recipe that stands in `folder`. `lake` is needed for a release or a run.

    Raises `UsageError` where the release, run or file is not there, cannot be read or is empty."""
    source = data.told
    if data.file is not None:
        found = list(_of_file(data.file, folder))
    elif lake is None:
        raise UsageError(f"the {source} is in a lake, and there is none; name it with --lake")
    elif data.release is not None:
        from cord.lake.releases.release import find_release

        manifest = find_release(lake, data.release)
        source = f"release {manifest.label}"
        found = list(_of_release(lake, manifest.label))
    else:
        assert data.run is not None
        found = list(_of_run(lake, data.run))
    if not found:
        raise UsageError(f"{source} holds nothing to learn from")
    found.sort(key=lambda row: (row.id, row.text))
    return Conversations(tuple(drawn(found, data.limit, seed)), source, len(found))


def drawn(rows: Sequence[Conversation], limit: int | None, seed: int) -> Sequence[Conversation]:
    """`limit` of the rows, the same ones for the same seed, in their own order."""
    if limit is None or limit >= len(rows):
        return rows
    rng = random.Random(f"students:{seed}")  # noqa: S311 (a seeded draw, not a secret)
    return [rows[place] for place in sorted(rng.sample(range(len(rows)), limit))]


def _of_release(lake: Lake, label: str) -> Iterator[Conversation]:
    from cord.lake.tables.query import query

    sql = "select problem_id, messages from records"
    for row in query(lake, sql, release=label).to_pylist():
        yield from _of_messages(row["problem_id"], row["messages"])


def _of_run(lake: Lake, run_id: str) -> Iterator[Conversation]:
    from cord.lake.runs.run import require_run
    from cord.lake.runs.run_tables import trajectories_of

    require_run(lake, run_id)
    seen: set[str] = set()
    for row in trajectories_of(lake, run_id):  # by problem and rank
        if row["finished"] and row["problem_id"] not in seen:
            seen.add(row["problem_id"])
            yield Conversation(row["problem_id"], row["question"], row["text"])


def _of_file(name: str, folder: Path) -> Iterator[Conversation]:
    path = Path(find_beside(name, folder))
    try:
        rows: Iterable[tuple[int, Any]]
        rows = _parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path)
        for number, row in rows:
            found = _of_row(number, row)
            if found is None:
                raise UsageError(
                    f"{name}:{number}: no conversation; a row needs `messages`, a question by "
                    "`user` and then a text by `assistant` (`cord export --format sft` writes them)"
                )
            yield found
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UsageError(f"{name}: cannot be read as conversations: {reason}") from None


def _json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except ValueError as error:
                    raise UsageError(f"{path}:{number}: not valid JSON: {error}") from None


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        number = 0
        for batch in file.iter_batches(1024):
            for row in batch.to_pylist():
                number += 1
                yield number, row


def _of_row(number: int, row: Any) -> Conversation | None:
    if not isinstance(row, Mapping) or not isinstance(row.get("messages"), Sequence):
        return None
    id_ = row.get("problem_id", row.get("id"))
    found = list(_of_messages(f"row-{number}" if id_ is None else str(id_), row["messages"]))
    return found[0] if found else None


def _of_messages(id_: str, messages: Sequence[Any]) -> Iterator[Conversation]:
    """The last question and its answer; none where the messages are of another form."""
    said = [m for m in messages if isinstance(m, Mapping) and m.get("role") != "system"]
    if [m.get("role") for m in said] == ["user", "assistant"]:
        question, text = (m.get("content") for m in said)
        if isinstance(question, str) and isinstance(text, str) and question and text:
            yield Conversation(id_, question, text.removeprefix(_OPENING))
