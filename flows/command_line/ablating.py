"""`cord ablate`: the same problems in many ways, and one report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cord.errors import CordError
from cord.scheduler import Stopped
from flows.command_line.options import Json, LakeUri
from flows.command_line.terminal import (
    print_json,
    print_table,
    say,
    stopping_gently,
    watching,
)

if TYPE_CHECKING:
    from cord.ablation.page import Report
    from cord.ablation.tables import Table


def add_to(app: typer.Typer) -> None:
    """Hang this command onto the command line."""
    app.command()(ablate)


def ablate(
    recipe: Annotated[Path, typer.Argument(help="The ablation's recipe, a YAML file.")],
    lake: LakeUri = "./lake",
    report: Annotated[
        bool, typer.Option("--report", help="Run nothing: report what the lake has.")
    ] = False,
    json: Json = False,
) -> None:
    """Carry out a grid of variants and seeds, and report it. What the lake has is not redone."""
    from cord.ablation.cells import base_of, cells_of, recipe_of
    from cord.ablation.page import to_json
    from cord.ablation.recipe import Ablation
    from cord.drawing import require_drawing
    from cord.recipe_file import load_recipe

    ablation = load_recipe(recipe, kind=Ablation)
    folder = recipe.resolve().parent
    base = base_of(ablation, folder)
    for cell in cells_of(ablation):  # a mistake in the last one is told before the first is run
        recipe_of(cell, base)
    if ablation.students is not None:
        from flows.ablate_students import schooling_of

        schooling_of(ablation.students, folder)
    require_drawing()
    made = _reported(ablation, folder, lake, report)
    if json:
        print_json(to_json(made))
    else:
        _show(made)
    from cord.lake import open_lake
    from tasks.ablation_report import report_folder

    where = open_lake(lake).store.uri(f"{report_folder(ablation)}/report.html")
    say(f"cord: the report is {where}")
    if made.missing:
        raise CordError(
            f"{len(made.missing)} cells are missing; the first: {made.missing[0]}\n"
            "The same command tries them again"
        )


def _reported(ablation: Any, folder: Path, lake_uri: str, only: bool) -> Report:
    from flows.ablate import carry_out_grid, known_grid
    from flows.servers import servers_end
    from tasks.ablation_report import report_grid

    count = len(ablation.variants) * len(ablation.seeds)
    if only:
        with watching():
            grid = known_grid(ablation, folder, lake_uri)
    else:
        say(f"cord: {count} cells of {ablation.name} into {lake_uri}")
        try:
            with stopping_gently(), watching(), servers_end(say):
                grid = carry_out_grid(ablation, folder, lake_uri)
        except Stopped:
            raise Stopped(
                "stopped; what is done is in the lake: the same command goes on"
            ) from None
    return report_grid(grid.lake, ablation, grid.measured, grid.students, grid.missing)


def _show(report: Report) -> None:
    for table in report.tables:
        if table.rows:
            _show_table(table)
    if report.claims:
        print_table(
            ("claim", "holds", "by"),
            [
                (
                    held.claim.says,
                    ("yes" if held.holds else "NO") + ("" if held.certain else ", within chance"),
                    "; ".join(
                        f"{s.by.mean:+.3f} [{s.by.low:+.3f}, {s.by.high:+.3f}]" for s in held.steps
                    ),
                )
                for held in report.claims
            ],
        )
    if report.students:
        names = list(report.students[0].scores)
        print_table(
            ("student on", "records", "right in every step", *names),
            [
                (s.name, s.records, _figure(s.fidelity), *(str(s.scores[n]) for n in names))
                for s in report.students
            ],
        )


def _show_table(table: Table) -> None:
    paper = ("paper", "paper S") if table.has_paper else ()
    rows = []
    for row in table.rows:
        result = row.result
        figures = [
            row.label,
            f"{result.accuracy.mean:.3f} [{result.accuracy.low:.3f}, {result.accuracy.high:.3f}]",
            f"{result.score.mean:.3f}",
            "-" if result.fidelity is None else f"{result.fidelity.mean:.3f}",
            f"{result.tokens:.0f}",
            _figure(result.seconds),
        ]
        if paper:
            known = row.paper
            figures += [
                _figure(known.accuracy if known else None),
                _figure(known.score if known else None),
            ]
        rows.append(figures)
    print_table(("", "accuracy", "S", "fidelity", "tokens", "s", *paper), rows, title=table.title)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
