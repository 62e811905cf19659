"""`cord report`: a run as one page."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cord.lake import open_lake
from flows.command_line.options import Json, LakeUri
from flows.command_line.terminal import print_json, say


def add_to(app: typer.Typer) -> None:
    """Hang this command onto the command line."""
    app.command()(report)


def report(
    run: Annotated[str, typer.Argument(help="The run, as `cord runs` names it.")],
    out: Annotated[
        Path | None,
        typer.Argument(help="The file to write; RUN.html by default.", show_default=False),
    ] = None,
    lake: LakeUri = "./lake",
    problem: Annotated[
        list[str] | None,
        typer.Option(help="Show this problem whole, however large the run; may be repeated."),
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    json: Json = False,
) -> None:
    """Write a run's report: one HTML file with its figures, its pictures and every trajectory.

    It loads nothing from anywhere and may be mailed. Of a large run the most telling problems
    have their whole tree; the others their winning path, or their line."""
    from cord.report import write_report

    opened = open_lake(lake)
    made = write_report(opened, run, out or Path(f"{run}.html"), problem or ())
    if json:
        print_json(asdict(made))
    else:
        say(
            f"{made.path}: {made.bytes / 1e6:.1f} MB, {made.problems} problems, "
            f"{made.whole_trees} with their whole tree"
            + (f", {made.paths} with their winning path" if made.paths else "")
        )
        if made.unlisted:
            say(f"{made.unlisted} more problems did not fit; `cord query` has them")
    if open:
        typer.launch(Path(made.path).resolve().as_uri())
