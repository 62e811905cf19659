"""Every command, hung onto one Typer app."""

from __future__ import annotations

import typer

from flows.command_line import (
    ablating,
    automating,
    checking,
    exporting,
    looking,
    making,
    reporting,
    running,
    scheduling,
    serving,
    standing,
    students,
    verifying,
)

app = typer.Typer(
    name="cord",
    help="A data factory for long chain-of-thought data: several teachers write one trajectory "
    "together, step by step.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
checking.add_to(app)
running.add_to(app)
standing.add_to(app)
looking.add_to(app)
reporting.add_to(app)
exporting.add_to(app)
verifying.add_to(app)
making.add_to(app)
serving.add_to(app)
scheduling.add_to(app)
automating.add_to(app)
students.add_to(app)
ablating.add_to(app)
