"""From a recipe to a run: name it, look what the lake has, lay it down, carry it out.

Prefect is started only when there is something to do: a repeated run says so in seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cord.ensemble import open_ensemble
from cord.errors import UsageError
from cord.intake import Intake, take_in
from cord.lake import Lake, open_lake
from cord.lake.progress import shard_states
from cord.lake.runs import (
    RunDocument,
    check_run_id,
    load_recipe_of,
    load_run,
    now,
    require_run,
    save_recipe,
    save_run,
)
from cord.recipe import Recipe
from cord.recipe_file import load_recipe
from flows.servers import any_managed, showing_starts
from tasks.board import BOARD

LISTEN_EVERY_S = 0.2
"""How soon a signal is heard at the latest."""


@dataclass(frozen=True)
class Launch:
    """A run that is laid down in the lake, or that is there already."""

    lake: Lake
    lake_uri: str
    run_id: str
    recipe: Recipe
    done: RunDocument | None
    """The finished run, when there is nothing left to do."""


def prepare(
    recipe_path: Path, lake_uri: str, run_id: str | None, overrides: Mapping[str, object]
) -> Launch:
    """Read the recipe and the problems, name the run, and lay it into the lake.

    Raises `RecipeError`, `ProblemsError`, `EngineError`, `LakeError`, and `UsageError` when
    `run_id` is taken by another run."""
    recipe = load_recipe(recipe_path, overrides)
    if run_id is not None:
        check_run_id(run_id)
    lake = open_lake(lake_uri, create=True)
    folder = recipe_path.resolve().parent
    intake = asyncio.run(showing_starts(take_in(recipe, folder, open_ensemble(recipe, folder))))
    run_id = run_id or intake.identity.run_id(recipe.name)
    known = load_run(lake, run_id)
    if known is not None and known.fingerprint != intake.identity.run:
        raise UsageError(
            f"run {run_id!r} is in this lake already and is another run: its recipe, models or "
            "problems differ; choose another --run-id, or leave it out"
        )
    if known is not None and known.state == "completed":
        return Launch(lake, lake.uri, run_id, recipe, known)
    save_recipe(lake, run_id, recipe, str(folder))
    save_run(lake, _begun(known or _new(run_id, recipe, intake)))
    return Launch(lake, lake.uri, run_id, recipe, None)


def prepare_resume(run_id: str, lake_uri: str) -> Launch:
    """Lay an interrupted or failed run down again, from what the lake remembers of it."""
    lake = open_lake(lake_uri)
    known = require_run(lake, run_id)
    recipe, _ = load_recipe_of(lake, run_id)
    if known.state == "completed":
        return Launch(lake, lake.uri, run_id, recipe, known)
    save_run(lake, _begun(known))
    return Launch(lake, lake.uri, run_id, recipe, None)


def _new(run_id: str, recipe: Recipe, intake: Intake) -> RunDocument:
    return RunDocument(
        run_id=run_id,
        recipe=recipe.name,
        fingerprint=intake.identity.run,
        created_at=now(),
        shards=recipe.run.shards,
        problems=intake.rows,
    )


def _begun(document: RunDocument) -> RunDocument:
    here = {"host": socket.gethostname(), "pid": os.getpid()}
    return document.model_copy(
        update={"state": "running", "started_at": now(), "ended_at": None, "message": "", **here}
    )


def carry_out(launch: Launch) -> dict[str, Any]:
    """Run the flow and return the run's summary. Raises what the flow raises.

    The flow has a thread of its own. In the main thread Prefect turns SIGTERM into an exception at
    whatever line is running, where a callback may swallow it or a task be tried again for it; here
    the signal stays with `stopping_gently`, as Ctrl-C does."""
    with ThreadPoolExecutor(1, thread_name_prefix="flow") as thread:
        running = thread.submit(_run_flow, launch)
        # Python's handlers run in this thread, and a signal that the kernel gives to another one
        # does not wake it (seen: one Ctrl-C in twelve was heard only when the run was over).
        while not running.done():
            wait([running], timeout=LISTEN_EVERY_S)
        return running.result()


def _run_flow(launch: Launch) -> dict[str, Any]:
    from flows.prefect_server import prefect_server
    from flows.refresh import refresh, runner_of

    flow = refresh.with_options(task_runner=runner_of(launch.recipe))
    _start_servers(launch)
    BOARD.enter("starting Prefect")
    with prefect_server():
        result = flow(launch.lake_uri, launch.run_id, return_state=True).result()
    assert isinstance(result, dict)
    return result


def _start_servers(launch: Launch) -> None:
    """Start the servers that cord serves itself, where anything is left to decode."""
    recipe, folder = load_recipe_of(launch.lake, launch.run_id)
    if not any_managed(recipe) or _is_decoded(launch):
        return
    asyncio.run(showing_starts(open_ensemble(recipe, Path(folder)).start()))


def _is_decoded(launch: Launch) -> bool:
    is_planned = launch.lake.tables.committed("problems", [f"{launch.run_id}/plan"])
    states = shard_states(launch.lake, launch.run_id) if is_planned else []
    return bool(is_planned) and all(state.decoded for state in states)


def mark_ended(launch: Launch, state: str, message: str) -> None:
    """Note in the lake that the run has ended without coming to its report."""
    document = require_run(launch.lake, launch.run_id)
    if document.state == "running":
        update = {"state": state, "ended_at": now(), "message": message}
        save_run(launch.lake, document.model_copy(update=update))


def stored_summary(launch: Launch) -> dict[str, Any]:
    """The summary that a finished or refused run has left in the lake; {} when there is none."""
    content = launch.lake.store.read(f"runs/{launch.run_id}/summary.json")
    return {} if content is None else dict(json.loads(content))
