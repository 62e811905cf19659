"""`cord schedule`: a recipe that is refreshed again and again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cord.errors import UsageError
from cord.lake import Lake, open_lake
from cord.lake.runs.run import now
from cord.lake.schedules import (
    Schedule,
    check_schedule_name,
    load_schedule,
    remove_schedule,
    require_schedule,
    save_schedule,
    schedule_names,
)
from cord.recipe_file import load_recipe
from flows.command_line.options import Json, LakeUri
from flows.command_line.planning import print_plan
from flows.command_line.running import show_plan
from flows.command_line.terminal import print_json, print_table, say, watching

if TYPE_CHECKING:
    from cord.recipe import Recipe

TIMES = 3
"""So many of the next times are shown."""


def add_to(app: typer.Typer) -> None:
    """Hang this command onto the command line."""
    app.command()(schedule)


def schedule(
    what: Annotated[
        str | None, typer.Argument(metavar="RECIPE", help="The recipe; with --remove, a schedule.")
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help='When: "0 3 * * *" is every night at three.')
    ] = None,
    timezone: Annotated[str, typer.Option(help="Of the cron.")] = "UTC",
    lake: LakeUri = "./lake",
    pool: Annotated[
        str, typer.Option(help="Prefect work pool; made where there is none.")
    ] = "cord",
    name: Annotated[str | None, typer.Option(help="By default the recipe's own.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show the schedules of the lake.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove a schedule by name.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what a refresh would do; schedule nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Refresh a recipe's data set by a cron: new and changed problems are decoded, withdrawn ones
    leave; where nothing is new there is no release.

    The recipe is kept in the lake as it is now: editing its file changes nothing until it is
    scheduled again, which first shows what the change invalidates."""
    if listed:
        _list(open_lake(lake), json)
    elif what is None:
        raise UsageError("name a recipe to schedule, or give --list")
    elif remove:
        _remove(open_lake(lake), what, json)
    else:
        path = Path(what)
        recipe, folder = load_recipe(path), path.resolve().parent
        if dry_run:
            _times(cron, timezone)
            show_plan(recipe, folder, lake, json)
            return
        if cron is None:
            raise UsageError('give --cron: "0 3 * * *" is every night at three')
        times = _times(cron, timezone)
        made = Schedule(
            name=check_schedule_name(name or recipe.name),
            recipe=recipe,
            folder=str(folder),
            file=path.name,
            cron=" ".join(cron.split()),
            timezone=timezone,
            pool=pool,
            scheduled_at=now(),
        )
        _schedule(made, recipe, folder, lake, times, json)


def _schedule(
    made: Schedule, recipe: Recipe, folder: Path, lake: str, times: list[datetime], json: bool
) -> None:
    from flows.launch import plan_of
    from flows.scheduling import check_free, deploy
    from flows.servers import servers_end
    from flows.serving import users_server

    users_server("there is no server to keep a schedule")  # before anything is read
    with servers_end(say), watching():
        plan = plan_of(recipe, folder, lake)
    if not json:
        print_plan(plan)
    opened = open_lake(lake, create=True)
    check_free(opened, made)
    _say_moved(load_schedule(opened, made.name), made)
    # The recipe first: a deployment whose schedule is not in the lake could only fail.
    save_schedule(opened, made)
    deployed = deploy(opened, made)
    if json:
        print_json(
            {**_told(made, times), "deployment": deployed.deployment, "plan": plan.to_json()}
        )
        return
    said = " (made just now)" if deployed.pool_made else ""
    say(f"cord: {deployed.deployment} refreshes {opened.uri} on the work pool {made.pool}{said}")
    say(f"cord: next: {', '.join(_shown(time) for time in times)}")
    say(f"cord: it is carried out by `prefect worker start --pool {made.pool}` on any machine")


def _say_moved(before: Schedule | None, today: Schedule) -> None:
    """What of an earlier schedule is replaced."""
    if before is None:
        return
    from cord.changes.differences import differences

    say(f"cord: replaces the schedule of {before.scheduled_at:%Y-%m-%d %H:%M}: {before.cron}")
    for one in differences(before.recipe, today.recipe, same_search=False):
        if one.field != "models":
            say(f"cord: since then: {one}")


def _list(lake: Lake, json: bool) -> None:
    found = [require_schedule(lake, name) for name in schedule_names(lake)]
    states = _states(lake, [one.name for one in found])
    rows = [
        {**_told(one, _times(one.cron, one.timezone)), "on_prefect": states.get(one.name)}
        for one in found
    ]
    if json:
        print_json(rows)
    elif not rows:
        say(f"cord: no schedule in {lake.uri}; `cord schedule RECIPE --cron ...` makes one")
    else:
        columns = ("schedule", "recipe", "cron", "next", "pool", "on Prefect")
        print_table(
            columns,
            [
                (
                    row["name"],
                    row["recipe"],
                    f"{row['cron']} {row['timezone']}",
                    row["next"][0],
                    row["pool"],
                    row["on_prefect"] or "not asked",
                )
                for row in rows
            ],
        )


def _states(lake: Lake, names: list[str]) -> dict[str, str]:
    """What Prefect says of them; {} where there is no server to ask."""
    from flows.scheduling import deployed_states

    try:
        return deployed_states(lake, names)
    except UsageError as error:
        say(f"cord: {error}")
        return {}


def _remove(lake: Lake, name: str, json: bool) -> None:
    from flows.scheduling import undeploy

    found = require_schedule(lake, name)
    was_there = undeploy(lake, name)
    remove_schedule(lake, name)
    if json:
        print_json({"removed": name, "deployment_removed": was_there})
        return
    say(f"cord: {found.recipe.name} is refreshed no more; its releases stay")
    if not was_there:
        say(f"cord: this Prefect server had no deployment refresh/{name} of this lake")


def _times(cron: str | None, timezone: str) -> list[datetime]:
    from flows.cron import next_times, read_cron

    if cron is None:
        return []
    return next_times(read_cron(cron, timezone).cron, timezone, TIMES)


def _told(made: Schedule, times: list[datetime]) -> dict[str, Any]:
    return {
        "name": made.name,
        "recipe": made.file,
        "data_set": made.recipe.name,
        "cron": made.cron,
        "timezone": made.timezone,
        "pool": made.pool,
        "scheduled_at": made.scheduled_at.isoformat(),
        "next": [_shown(time) for time in times],
    }


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M %Z}"
