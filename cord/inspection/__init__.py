"""Is the lake sound? What a kill at any moment or a lost machine has left in it, and its mending.

    census.py      what lies there: keys, runs, logs of tables, who is alive
    runs.py        documents of runs                 shards.py   staged files, journals
    releases.py    manifests and their commits       files.py    files that no commit names
    rows.py        rows that are there twice, or lacking
    mending.py     what can be mended without guessing

Looking changes nothing, and may be done while runs are at work: what belongs to one that is alive
is never found.
"""

from __future__ import annotations

from datetime import datetime

from cord.errors import CordError, LakeError, UsageError
from cord.inspection.census import alive, present, take_census
from cord.inspection.files import inspect_files
from cord.inspection.finding import Finding
from cord.inspection.releases import inspect_releases
from cord.inspection.rows import count_rows, inspect_rows, planned_shards
from cord.inspection.runs import inspect_runs
from cord.inspection.shards import inspect_shards
from cord.lake import Lake
from cord.lake.tables.rows import Row

__all__ = ["Finding", "inspect_lake"]

_LONG = 300


def inspect_lake(lake: Lake, now: datetime | None = None) -> list[Finding]:
    """Everything in the lake that is not as it should be; nothing where it is sound.

    `now` is the present by default. Raises `LakeError` where the lake cannot be read."""
    living = alive(lake)
    census = take_census(lake, now or present())
    counted: list[Row] = []
    try:
        counted = count_rows(lake)
        of_rows = list(inspect_rows(census, counted))
    except (LakeError, UsageError) as error:
        of_rows = [_unreadable(error)]
    found = [
        *inspect_runs(census),
        *inspect_shards(census, planned_shards(counted)),
        *inspect_releases(census),
        *inspect_files(census),
        *of_rows,
    ]
    living |= alive(lake)
    return [finding for finding in found if finding.run_id not in living]


def _unreadable(error: CordError) -> Finding:
    return Finding(
        "unreadable tables",
        "tables/",
        f"their rows cannot be looked through: {str(error)[:_LONG]}",
        "see what else is found about them",
    )
