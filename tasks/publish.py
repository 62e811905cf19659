"""Publish a run's records as the next release of its data set."""

from __future__ import annotations

from typing import Any

from prefect import task

from cord.lake import open_lake
from cord.lake.releases.release import publish
from cord.lake.runs.run import load_recipe_of, require_run
from tasks import artifacts
from tasks.board import BOARD
from tasks.check import load_candidates, load_result
from tasks.policy import OPTIONS


@task(name="publish", task_run_name="publish {run_id}", **OPTIONS)
def publish_release(lake_uri: str, run_id: str, counts: dict[str, int]) -> dict[str, Any]:
    """Commit the records and their manifest; only called once the contract held.

    Returns {"release": "NAME@V", "new": bool}; not new when the newest release says the same."""
    BOARD.enter("publication")
    lake = open_lake(lake_uri)
    recipe, _ = load_recipe_of(lake, run_id)
    published = publish(
        lake,
        recipe.name,
        load_candidates(lake, run_id).drop_columns(["outcome"]),
        run_id=run_id,
        fingerprint=require_run(lake, run_id).fingerprint,
        contract=load_result(lake, run_id, "records"),
        counts=counts,
    )
    manifest = published.manifest
    name = f"{manifest.name}@{manifest.version}"
    artifacts.page(
        run_id,
        "release",
        f"# {name}\n\n{manifest.rows} records, content `{manifest.content_hash}`\n\n"
        + ("" if published.new else "It was published before: these records are the same.\n"),
        f"Release {name}",
    )
    return {"release": name, "new": published.new}
