"""What evaluations have sampled: one row for each answer of a model to a problem of a benchmark.

    evaluations/KEY/PIECE.jsonl    rows of one series, as they came in; a piece is never changed
    evaluations/NAME.json          the latest results of the evaluation of that name

A *series* is everything that decides its answers but the problem: the model, the instructions, the
sampling, the seed. So more samples or problems, or another recipe that asks the same, sample only
what is not there. Rows of one (problem, sample) that two processes have made at once are the same
answer where engines repeat themselves; the first piece by name counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pyarrow as pa

from cord.errors import LakeError
from cord.lake.tables.schemas import columns

if TYPE_CHECKING:
    from cord.lake import Lake

Row = dict[str, Any]
_READERS = 8
_GATHER_S = 0.5

EVALUATIONS: Final = columns(
    {
        "model": pa.string(),  # its name in the recipe that sampled it
        "identity": pa.string(),  # of its weights
        "benchmark": pa.string(),
        "problem_id": pa.string(),
        "sample": pa.int32(),  # 0, 1, ... n - 1
        "outcome": pa.string(),  # correct, wrong or undecided
        "correct": pa.bool_(),
        "answer": pa.string(),  # null where none was stated
        "reason": pa.string(),
        "tokens": pa.int32(),  # sampled
        "finish": pa.string(),  # end, stop or length: cut at the cap
        "seconds": pa.float64(),
        "text": pa.string(),
        "question": pa.string(),
        "reference": pa.string(),
        "problem": pa.string(),  # fingerprint of question and answers
        "key": pa.string(),  # of the series
    }
)


class Series:
    """The rows of one series, written piece by piece."""

    def __init__(self, lake: Lake, key: str) -> None:
        self._lake, self._key = lake, key

    @property
    def gather_s(self) -> float:
        """How long rows may wait for more to make a piece with."""
        return max(_GATHER_S, self._lake.store.gather_s)

    def rows(self) -> list[Row]:
        """What is in the lake, each (problem, sample) once. Raises `LakeError`."""
        found: dict[tuple[str, int], Row] = {}
        for row in _rows_of(self._lake, self._lake.store.list(f"evaluations/{self._key}/")):
            found.setdefault((row["problem"], row["sample"]), row)
        return list(found.values())

    def write(self, rows: Sequence[Row]) -> None:
        """Put a piece into the lake, if there is anything in it. Raises `LakeError`."""
        if rows:
            kept = [{name: row[name] for name in EVALUATIONS.names} for row in rows]
            lines = "".join(json.dumps(row) + "\n" for row in kept)
            piece = f"evaluations/{self._key}/{time.time_ns():020d}-{uuid4().hex[:8]}.jsonl"
            self._lake.store.write(piece, lines.encode())


def all_rows(lake: Lake) -> pa.Table:
    """Every answer there is, as a table of `EVALUATIONS`. Raises `LakeError`."""
    keys = [key for key in lake.store.list("evaluations/") if key.endswith(".jsonl")]
    found: dict[tuple[str, str, int], Row] = {}
    for row in _rows_of(lake, keys):
        found.setdefault((row["key"], row["problem"], row["sample"]), row)
    return pa.Table.from_pylist(list(found.values()), schema=EVALUATIONS)


def save_results(lake: Lake, name: str, results: dict[str, Any]) -> None:
    """Write `evaluations/NAME.json`."""
    text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    lake.store.write(f"evaluations/{name}.json", text.encode())


def _rows_of(lake: Lake, keys: Iterable[str]) -> Iterator[Row]:
    with ThreadPoolExecutor(_READERS) as pool:
        for key, content in zip(keys, pool.map(lake.store.read, keys), strict=True):
            for line in (content or b"").splitlines():
                try:
                    row = json.loads(line)
                    yield {name: row[name] for name in EVALUATIONS.names}
                except (ValueError, KeyError, TypeError):
                    raise LakeError(
                        f"{lake.store.uri(key)} holds something else than an evaluation's rows; "
                        "move it away: what it held is sampled again"
                    ) from None
