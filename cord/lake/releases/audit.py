"""Looking again at what was released: are the files, the rows and the verdicts still as stated?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from cord.errors import LakeError
from cord.lake import Lake, open_lake
from cord.lake.releases.manifest import Manifest, content_hash
from cord.lake.releases.release import dataset_key
from cord.lake.tables.delta import files_of, open_table, speaking
from cord.lake.tables.schemas import RECORDS, SCHEMAS

_IDENTITY = ["key", "problem_id", "rank"]
_JUDGED = ["problem_id", "rank", "answer"]
_COUNTED = {"problems", "records", "wrong", "quarantined"}
UNPLANNED = ("read", "problems")
"""Stages of quarantine whose rows never came into the run's plan."""
_BATCH_ROWS = 4_096
_SHOWN = 5
_LONG = 300


def verify_release(lake: Lake, manifest: Manifest) -> list[str]:
    """What is wrong with a release, one sentence each; empty where everything holds.

    Checks each file's presence, size and sha256, the Delta version's list of files, row counts,
    the content hash, and, in the tables as of the release, that every record's trajectory has a
    `correct` verdict and that what its run counted is there. Raises `LakeError` only where the
    lake itself cannot be read."""
    problems = _of_files(lake, manifest)
    if problems:
        # Rows of changed files say nothing more, and may not even be readable.
        return problems
    try:
        return _of_tables(lake, manifest)
    except (LakeError, pa.ArrowException, OSError) as error:
        open_lake(lake.uri)  # where the lake itself cannot be read it is that which is said
        said = str(error).splitlines()[0][:_LONG]
        return [f"its tables cannot be read ({said}); `cord verify --lake` says what they lack"]


def _of_tables(lake: Lake, manifest: Manifest) -> list[str]:
    key = dataset_key(manifest.name)
    table = open_table(lake.store, key, manifest.delta_version)
    if table is None:
        return [f"the Delta table {key} is gone"]
    with speaking(lake.store, key):
        stated = sorted((file.path, file.rows) for file in manifest.files)
        listed = sorted((f"{key}/{path}", rows) for path, rows in files_of(table))
        if stated != listed:
            return [f"version {manifest.delta_version} of {key} lists other files than released"]
        names: list[pa.RecordBatch] = []
        found = content_hash(_noting(table.to_pyarrow_dataset(schema=RECORDS), names))
    schema = pa.schema([RECORDS.field(name) for name in _IDENTITY])
    rows = pa.Table.from_batches(names, schema)
    return [
        *_of_rows(manifest, rows, found),
        *_of_verdicts(lake, manifest, rows),
        *_of_counts(lake, manifest, rows),
    ]


def _of_files(lake: Lake, manifest: Manifest) -> list[str]:
    problems = []
    for file in manifest.files:
        found = lake.store.digest(file.path)
        if found is None:
            problems.append(f"{file.path} is missing")
        elif found[1] != file.bytes:
            problems.append(f"{file.path} has {found[1]} bytes, released were {file.bytes}")
        elif found[0] != file.sha256:
            problems.append(f"{file.path} has sha256 {found[0]}, released was {file.sha256}")
    return problems


def _noting(records: ds.Dataset, names: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """All records, some thousands at a time; what names them is kept."""
    for batch in records.to_batches(
        batch_size=_BATCH_ROWS, batch_readahead=4, fragment_readahead=1
    ):
        names.append(batch.select(_IDENTITY))
        yield batch


def _of_rows(manifest: Manifest, rows: pa.Table, found: str) -> list[str]:
    problems = []
    if rows.num_rows != manifest.rows:
        problems.append(f"there are {rows.num_rows} rows, released were {manifest.rows}")
    if found != manifest.content_hash:
        problems.append(f"the rows' content hash is {found}, released was {manifest.content_hash}")
    counted = rows.group_by(["problem_id", "rank"]).aggregate([([], "count_all")])
    twice = counted.filter(pc.field("count_all") > 1).sort_by("problem_id").to_pylist()
    if twice:
        some = _some([f"{row['problem_id']}, rank {row['rank']}" for row in twice])
        problems.append(f"{len(twice)} records are there more than once: {some}")
    return problems


def _of_verdicts(lake: Lake, manifest: Manifest, rows: pa.Table) -> list[str]:
    """A verdict judges a stated answer, so a record is tied to it through its trajectory."""
    trajectories = _as_released(lake, manifest, "trajectories", [*_IDENTITY, "answer"], None)
    correct = _as_released(lake, manifest, "verdicts", _JUDGED, pc.field("outcome") == "correct")
    records = rows.select(_IDENTITY)
    answered = records.join(_distinct(trajectories), keys=_IDENTITY, join_type="inner")
    judged = answered.join(_distinct(correct), keys=_JUDGED, join_type="left semi")
    return [
        *_missing(records, answered, "have no trajectory"),
        *_missing(_distinct(answered.select(_IDENTITY)), judged, "have no correct verdict"),
    ]


def _of_counts(lake: Lake, manifest: Manifest, rows: pa.Table) -> list[str]:
    """What the run counted against what is there; nothing for a release that counts nothing."""
    counts = manifest.counts
    if not set(counts) >= _COUNTED:
        return []
    own = pc.field("run_id") == manifest.run_id
    planned = _as_released(lake, manifest, "problems", ["problem_id"], own)
    aside = _as_released(lake, manifest, "quarantine", ["problem_id", "stage"], own)
    unread = pc.is_in(aside["stage"], pa.array(UNPLANNED))
    late: Any = aside.filter(pc.invert(unread))["problem_id"].unique()
    recorded: Any = rows["problem_id"].unique()
    decided = pc.is_in(planned["problem_id"], pa.concat_arrays([recorded, late]))
    wrong = planned["problem_id"].filter(pc.invert(decided)).unique()
    found = {
        "problems": planned.num_rows + aside.filter(unread).num_rows,
        "records": len(recorded),
        "wrong": len(wrong),
        "quarantined": aside.num_rows,
        "rows": rows.num_rows,
    }
    problems = [
        f"its run counted {counts[name]} {name}, and {n} are in the lake"
        for name, n in found.items()
        if name in counts and counts[name] != n
    ]
    accounted = sum(int(counts[name]) for name in _COUNTED - {"problems"})
    if accounted != counts["problems"]:
        problems.append(
            f"of {counts['problems']} problems {accounted} are records, wrong or in quarantine"
        )
    return problems


def _as_released(
    lake: Lake, manifest: Manifest, table: str, columns: list[str], where: pc.Expression | None
) -> pa.Table:
    if table not in manifest.tables:
        return SCHEMAS[table].empty_table().select(columns)
    return lake.tables.read(table, columns, where, manifest.tables[table])


def _missing(wanted: pa.Table, found: pa.Table, what: str) -> list[str]:
    without = wanted.join(_distinct(found.select(_IDENTITY)), keys=_IDENTITY, join_type="left anti")
    if not without.num_rows:
        return []
    names = [str(name) for name in without["problem_id"].to_pylist()]
    return [f"{len(names)} records {what}: {_some(names)}"]


def _distinct(rows: pa.Table) -> pa.Table:
    return rows.group_by(rows.column_names).aggregate([])


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
