"""`cord serve`: the dashboard's hand on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.command_line.options import LakeUri
from flows.command_line.terminal import say


def add_to(app: typer.Typer) -> None:
    """Hang the command onto the command line."""
    app.command()(serve)


def serve(
    lake: LakeUri = "./lake",
    limit: Annotated[int, typer.Option(min=1, help="So many runs at once on this machine.")] = 1,
) -> None:
    """Carry out runs that are started, retried or resumed on Prefect's dashboard, until Ctrl-C."""
    from cord.lake import open_lake
    from flows.serving import DEPLOYMENT, serve_runs

    uri = open_lake(lake, create=True).uri
    say(
        f"cord: serving refresh/{DEPLOYMENT} for {uri}, {limit} at once; Ctrl-C stops after the "
        "rounds in flight"
    )
    serve_runs(uri, limit, say)
    say("cord: serving no more; what was at work is resumed by Retry")
