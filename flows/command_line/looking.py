"""`cord query`, `releases`, `export`: what is in the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cord.lake import open_lake
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
    format: Annotated[
        str,
        typer.Option(
            help="sft: conversations. dpo: pairs of whole trajectories. step-dpo: pairs of steps "
            "on one prefix, kept and dropped."
        ),
    ] = "sft",
    min_gap: Annotated[
        float | None, typer.Option(min=0.0, help="Of pairs: least difference of log S; else 0.1.")
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(min=1, help="Pairs of a prefix (step-dpo), of a record (dpo); else 2."),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="The student, a folder or a name: prompts in its own chat template."),
    ] = None,
    lake: LakeUri = "./lake",
    json: Json = False,
) -> None:
    """Write a release, or the preference pairs behind it, to a file that a trainer reads."""
    from cord.export import PairOptions
    from cord.export import export as write
    from cord.lake.releases.release import find_release

    opened = open_lake(lake)
    manifest = find_release(opened, release)
    usual = PairOptions()
    options = PairOptions(
        usual.min_gap if min_gap is None else min_gap,
        usual.most if most is None else most,
        tokenizer,
    )
    wrote = write(opened, manifest, format, out, options)
    if json:
        told = {"release": manifest.label, "format": format, "path": str(out)}
        print_json({**told, "rows": wrote.rows, "problems": wrote.problems})
    else:
        say(f"{manifest.label}: {wrote.rows} rows of {wrote.problems} problems in {out}")


def _show(rows: list[dict[str, Any]], empty: str = "") -> None:
    if rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    elif empty:
        say(empty)
