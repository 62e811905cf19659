"""From a release to a file that a trainer reads.

`sft`: one conversation a line, `{"messages": [{role, content}, ...]}`, the form that TRL's
SFTTrainer and most other trainers take, with `problem_id` and `score` beside it. The file's ending
decides: `.parquet`, or JSON lines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cord.errors import CordError, UsageError

FORMATS = ("sft",)


def export(records: pa.Table, how: str, path: Path) -> int:
    """Write `records` (of the lake's schema) to `path`; returns the number of rows.

    Raises `UsageError` for an unknown format, `CordError` when the file cannot be written."""
    if how not in FORMATS:
        raise UsageError(f"there is no export format {how!r}; there is: {', '.join(FORMATS)}")
    columns = ["problem_id", "messages", "score"]
    chosen = records.select(columns).sort_by([("problem_id", "ascending")])
    try:
        if path.suffix == ".parquet":
            pq.write_table(chosen, path)
        else:
            _write_lines(chosen, path)
    except OSError as error:
        raise CordError(f"{path} cannot be written: {error.strerror or error}") from None
    return chosen.num_rows


def _write_lines(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for batch in table.to_batches(max_chunksize=1024):
            rows: list[dict[str, Any]] = batch.to_pylist()
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
