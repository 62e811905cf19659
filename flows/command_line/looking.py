"""`cord query`, `releases`: what is in the lake."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from cord.lake import open_lake
from flows.command_line.options import Json, LakeUri
from flows.command_line.terminal import print_json, print_table, say


def add_to(app: typer.Typer) -> None:
    """Hang these commands onto the command line."""
    app.command()(query)
    app.command()(releases)


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


def _show(rows: list[dict[str, Any]], empty: str = "") -> None:
    if rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    elif empty:
        say(empty)
