"""`cord query`, `releases`, `export`: what is in the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import typer

from cord.lake import Lake, open_lake
from flows.command_line.options import Json, LakeUri
from flows.command_line.terminal import print_json, print_table, say

Release = Annotated[str, typer.Argument(help="A release, as demo@1 or demo (the newest).")]


def add_to(app: typer.Typer) -> None:
    """Hang these commands onto the command line."""
    app.command()(query)
    app.command()(releases)
    app.command()(export)


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT over the lake's views.")],
    lake: LakeUri = "./lake",
    release: Annotated[
        str | None,
        typer.Option(help="See the lake as it was at NAME@V; records are that release's."),
    ] = None,
    format: Annotated[Literal["table", "json", "csv"], typer.Option()] = "table",
    json: Json = False,
) -> None:
    """Ask the lake in SQL (DuckDB, read-only).

    Views: problems, steps, trajectories, costs, verdicts, quarantine, records, releases, runs."""
    from cord.lake.tables.query import stream
    from flows.command_line.answer import print_answer

    with stream(open_lake(lake), sql, release=release) as batches:
        print_answer(batches, "json" if json else format)


def releases(
    name: Annotated[str | None, typer.Argument(help="A data set; all by default.")] = None,
    lake: LakeUri = "./lake",
    json: Json = False,
) -> None:
    """List what was published, from which run, and whether the contract held."""
    from cord.lake.releases.release import find_release, list_releases

    opened = open_lake(lake)
    if name is not None:
        name = find_release(opened, name).name  # a misspelt one is said
    rows = [
        {
            "release": m.label,
            "name": m.name,
            "version": m.version,
            "rows": m.rows,
            "run_id": m.run_id,
            "created_at": m.created_at,
            "parent": m.parent,
            "contract": "held" if m.contract.get("holds") else "unknown",
            "content_hash": m.content_hash,
        }
        for m in list_releases(opened, name)
    ]
    if json:
        print_json(rows)
    else:
        short = [{**row, "content_hash": str(row["content_hash"])[:12]} for row in rows]
        _show(short, empty="no releases yet; `cord run RECIPE` makes one")


def export(
    release: Release,
    out: Annotated[Path, typer.Argument(help="File to write: .jsonl or .parquet.")],
    format: Annotated[str, typer.Option(help="sft: one conversation a row.")] = "sft",
    lake: LakeUri = "./lake",
    json: Json = False,
) -> None:
    """Write a release to a file that a trainer reads."""
    from cord.export import export as write

    opened = open_lake(lake)
    label, records = _records_of(opened, release)
    rows = write(records, format, out)
    if json:
        print_json({"release": label, "format": format, "rows": rows, "path": str(out)})
    else:
        say(f"{label}: {rows} rows in {out}")


def _records_of(lake: Lake, release: str) -> tuple[str, pa.Table]:
    from cord.lake.releases.release import find_release
    from cord.lake.tables.query import query as run_query

    manifest = find_release(lake, release)
    return manifest.label, run_query(lake, "select * from records", release=manifest.label)


def _show(rows: list[dict[str, Any]], empty: str = "") -> None:
    if rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    elif empty:
        say(empty)
