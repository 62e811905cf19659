"""From a release to what a trainer reads: one file here for each format.

    sft         the conversations, for TRL
    sharegpt    the same for LLaMA-Factory, with its dataset_info.json
    axolotl     the same for Axolotl, with its settings
    dpo         pairs of whole trajectories: a record, and a worse one of the same problem
    step-dpo    pairs of steps on one prefix: kept, and dropped
    dataset     all columns, as a data set of the Hugging Face hub: a folder, S3, the hub itself

Of a file its ending decides: `.parquet`, or JSON lines. Rows stand in the order of the problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cord.errors import UsageError
from cord.export import axolotl, dpo, sft, sharegpt, step_dpo
from cord.export.dataset import write_dataset
from cord.export.options import PairOptions
from cord.export.writing import write_rows

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.releases.manifest import Manifest

__all__ = ["FORMATS", "Exported", "PairOptions", "export", "write_dataset"]

_ROWS: dict[str, Callable[[Lake, Manifest, PairOptions], Iterator[dict[str, Any]]]] = {
    "sft": sft.rows,
    "sharegpt": sharegpt.rows,
    "axolotl": axolotl.rows,
    "dpo": dpo.rows,
    "step-dpo": step_dpo.rows,
}
_BESIDE: dict[str, Callable[[Manifest, Path], Path]] = {
    "sharegpt": sharegpt.write_info,
    "axolotl": axolotl.write_settings,
}
FORMATS = tuple(_ROWS)
"""Those that are one file; `write_dataset` writes the other."""
_PAIRS = ("dpo", "step-dpo")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    rows: int
    problems: int
    """Of how many problems."""
    beside: Path | None = None
    """What the trainer reads beside the file."""


def export(
    lake: Lake, release: Manifest, how: str, path: Path, options: PairOptions | None = None
) -> Exported:
    """Write a release, or the pairs that belong to it, to `path`.

    Raises `UsageError` for an unknown format, or an option that the format does not know;
    `CordError` when the file cannot be written."""
    if how not in FORMATS:
        raise UsageError(f"there is no export format {how!r}; there are: {', '.join(FORMATS)}")
    if how not in _PAIRS and options not in (None, PairOptions()):
        raise UsageError("--min-gap, --most and --tokenizer are for --format dpo and step-dpo")
    problems, last = 0, None

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal problems, last
        for row in _ROWS[how](lake, release, options or PairOptions()):
            problems += row["problem_id"] != last  # rows come by problem
            last = row["problem_id"]
            yield row

    rows = write_rows(counted(), path)
    beside = _BESIDE[how](release, path) if how in _BESIDE else None
    return Exported(rows, problems, beside)
