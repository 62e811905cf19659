"""The views that a query sees: Delta tables, records of releases, and the lake's documents.

Only the views that a statement names are made, since each costs a look at the lake. With a release
everything is pinned: `records` to its version, the tables to the versions its manifest names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import duckdb
import pyarrow as pa

from cord.fingerprint import canonical_bytes
from cord.lake import Lake
from cord.lake.evaluations import all_rows
from cord.lake.releases.manifest import Manifest
from cord.lake.releases.release import list_releases, newest_releases
from cord.lake.runs.run import LONG_AGO, list_runs
from cord.lake.tables.schemas import CAME_LATER, SCHEMAS, TABLES, columns
from cord.lake.tables.table import table_key

_MOMENT = pa.timestamp("us")

RELEASES: Final = columns(
    {
        "name": pa.string(),
        "version": pa.int64(),
        "run_id": pa.string(),
        "rows": pa.int64(),
        "created_at": _MOMENT,
        "parent": pa.int64(),
        "recipe": pa.string(),  # its fingerprint
        "content_hash": pa.string(),
        "delta_version": pa.int64(),
        "contract": pa.string(),  # JSON
        "counts": pa.string(),  # JSON
    }
)

RUNS: Final = columns(
    {
        "run_id": pa.string(),
        "recipe": pa.string(),  # its name
        "state": pa.string(),
        "created_at": _MOMENT,
        "ended_at": _MOMENT,
        "problems": pa.int64(),
        "records": pa.int64(),
        "wrong": pa.int64(),
        "quarantined": pa.int64(),
        "release": pa.string(),  # NAME@V
    }
)

VIEWS: Final = (*SCHEMAS, "releases", "runs", "evaluations")
"""Every view there is."""


def define_views(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    names: Iterable[str],
    release: Manifest | None,
) -> None:
    """Make the named views (a subset of `VIEWS`) on a connection that can reach the lake."""
    for name in names:
        if name in TABLES:
            _define_table(connection, lake, name, release)
        elif name == "records":
            shown = [release] if release is not None else newest_releases(lake)
            _define_records(connection, lake, shown)
        elif name == "releases":
            define_rows(connection, name, _release_rows(list_releases(lake)))
        elif name == "evaluations":
            define_rows(connection, name, all_rows(lake))
        else:
            define_rows(connection, name, _run_rows(lake))


def literal(text: str) -> str:
    """A string literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _define_table(
    connection: duckdb.DuckDBPyConnection, lake: Lake, name: str, release: Manifest | None
) -> None:
    schema, key = SCHEMAS[name], table_key(name)
    if release is not None:
        version = release.tables.get(name)
        there = version is not None
    else:
        version = None
        there = lake.store.read(f"{key}/_delta_log/{0:020d}.json") is not None
    if there:
        later = CAME_LATER.get(name, {})
        _define_view(connection, name, _scan(lake, key, schema, version, later))
    else:
        define_rows(connection, name, schema.empty_table())


def _define_records(
    connection: duckdb.DuckDBPyConnection, lake: Lake, releases: list[Manifest]
) -> None:
    filled = [release for release in releases if release.files]
    if not filled:
        empty = SCHEMAS["records"].append(pa.field("dataset", pa.string())).empty_table()
        define_rows(connection, "records", empty)
        return
    _define_view(connection, "records", " union all ".join(_released(lake, r) for r in filled))


# S608 below: nothing there comes from outside but names of data sets and the lake's own addresses,
# which are quoted.


def _released(lake: Lake, release: Manifest) -> str:
    """Its files, by the manifest: no look at the table's log, so an old release costs the same."""
    files = ", ".join(literal(lake.store.uri(file.path)) for file in release.files)
    scan = _with_columns(f"read_parquet([{files}])", CAME_LATER["records"])
    listed = ", ".join(f'"{name}"' for name in SCHEMAS["records"].names)
    return f"select {listed}, {literal(release.name)} as dataset from {scan}"  # noqa: S608


def _scan(
    lake: Lake, key: str, schema: pa.Schema, version: int | None, later: Mapping[str, str]
) -> str:
    pinned = "" if version is None else f", version={version}"
    scan = f"delta_scan({literal(lake.store.uri(key))}{pinned})"
    listed = ", ".join(f'"{name}"' for name in schema.names)
    return f"select {listed} from {_with_columns(scan, later)}"  # noqa: S608


def _with_columns(scan: str, later: Mapping[str, str]) -> str:
    """The scan, with null for what it lacks of columns that came `later`, by their types."""
    if not later:
        return scan
    nulls = ", ".join(f'null::{kind} as "{name}"' for name, kind in later.items())
    return f"(select {nulls} where false union all by name select * from {scan})"  # noqa: S608


def _define_view(connection: duckdb.DuckDBPyConnection, name: str, select: str) -> None:
    connection.execute(f"create view {name} as {select}")


def define_rows(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    """Make a table of rows that are in memory."""
    connection.from_arrow(rows).create(name)


def _release_rows(releases: list[Manifest]) -> pa.Table:
    rows = [
        {
            **release.model_dump(include=set(RELEASES.names)),
            "created_at": _utc(release.created_at),
            "contract": canonical_bytes(release.contract).decode(),
            "counts": canonical_bytes(release.counts).decode(),
        }
        for release in releases
    ]
    return pa.Table.from_pylist(rows, schema=RELEASES)


def _run_rows(lake: Lake) -> pa.Table:
    rows = [
        {
            **run.model_dump(include=set(RUNS.names)),
            "created_at": _utc(run.created_at if run.created_at != LONG_AGO else None),
            "ended_at": _utc(run.ended_at),
        }
        for run in list_runs(lake)
    ]
    return pa.Table.from_pylist(rows, schema=RUNS)


def _utc(moment: datetime | None) -> datetime | None:
    """The moment in UTC, without a zone: timestamps in the lake are always UTC."""
    if moment is None or moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)
