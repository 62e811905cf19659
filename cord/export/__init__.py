"""From a release to a file that a trainer reads: one file here for each format.

    sft         the conversations
    dpo         pairs of whole trajectories: a record, and a worse one of the same problem
    step-dpo    pairs of steps on one prefix: kept, and dropped

The file's ending decides: `.parquet`, or JSON lines. Rows stand in the order of the problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cord.errors import UsageError
from cord.export import dpo, sft, step_dpo
from cord.export.options import PairOptions
from cord.export.writing import write_rows

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest

__all__ = ["FORMATS", "Exported", "PairOptions", "export"]

_ROWS: dict[str, Callable[[Lake, Manifest, PairOptions], Iterator[dict[str, Any]]]] = {
    "sft": sft.rows,
    "dpo": dpo.rows,
    "step-dpo": step_dpo.rows,
}
FORMATS = tuple(_ROWS)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    rows: int
    problems: int
    """Of how many problems."""


def export(
    lake: Lake, release: Manifest, how: str, path: Path, options: PairOptions | None = None
) -> Exported:
    """Write a release, or the pairs that belong to it, to `path`.

    Raises `UsageError` for an unknown format, or an option that the format does not know;
    `CordError` when the file cannot be written."""
    if how not in FORMATS:
        raise UsageError(f"there is no export format {how!r}; there are: {', '.join(FORMATS)}")
    if how == "sft" and options not in (None, PairOptions()):
        raise UsageError("--min-gap, --most and --tokenizer are for --format dpo and step-dpo")
    problems: set[str] = set()

    def counted() -> Iterator[dict[str, Any]]:
        for row in _ROWS[how](lake, release, options or PairOptions()):
            problems.add(row["problem_id"])
            yield row

    rows = write_rows(counted(), path)
    return Exported(rows, len(problems))
