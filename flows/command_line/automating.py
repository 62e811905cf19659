"""`cord automations`: what the Prefect server does by itself for cord's runs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from cord.errors import UsageError
from flows.command_line.terminal import say


def add_to(app: typer.Typer) -> None:
    """Hang the command onto the command line."""
    app.command()(automations)


def automations(
    notify: Annotated[
        str | None,
        typer.Option(metavar="TYPE/NAME", help="Tell this block of the server: slack-webhook/ops."),
    ] = None,
    notify_url_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE",
            help="Or post to the address in this environment variable; the server keeps it "
            "encrypted.",
        ),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, max=20, help="How often a crashed run is tried again by itself.")
    ] = 2,
    remove: Annotated[bool, typer.Option("--remove", help="Delete them all.")] = False,
) -> None:
    """Make ready automations on the Prefect server: silent runs are marked as crashed, crashed runs
    of deployments tried again, somebody told of what went wrong and of releases."""
    from flows.automations import make_automations, remove_automations

    if remove:
        for name in remove_automations():
            say(f"removed: {name}")
        return
    url = None
    if notify_url_env is not None:
        if notify is not None:
            raise UsageError("give --notify or --notify-url-env, not both")
        url = os.environ.get(notify_url_env, "").strip()
        if not url:
            raise UsageError(f"the environment variable {notify_url_env} is not set")
    for name in make_automations(retries, notify, url):
        say(f"on the server: {name}")
