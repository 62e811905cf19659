"""Publish a run's records as the next release of its data set."""

from __future__ import annotations

from typing import Any

from prefect import task

from cord.card import card
from cord.card.escaping import code
from cord.card.source import describe
from cord.lake import open_lake
from cord.lake.releases.release import card_key, publish
from cord.lake.runs.candidates import read_candidates
from cord.lake.runs.run import load_recipe_of, require_run
from cord.lake.tables.schemas import SCHEMAS
from tasks import artifacts
from tasks.board import BOARD
from tasks.check import load_result
from tasks.decontaminate import load_checked
from tasks.events import release_published
from tasks.policy import OPTIONS


@task(name="publish", task_run_name="publish {run_id}", **OPTIONS)
def publish_release(lake_uri: str, run_id: str, counts: dict[str, int]) -> dict[str, Any]:
    """Commit the records and their manifest; only called once the contract held.

    Returns {"release": "NAME@V", "new": bool}; not new when the newest release says the same."""
    BOARD.enter("publication")
    lake = open_lake(lake_uri)
    recipe, _ = load_recipe_of(lake, run_id)
    document = require_run(lake, run_id)
    published = publish(
        lake,
        recipe.name,
        lambda: read_candidates(lake, run_id, SCHEMAS["records"].names),
        run_id=run_id,
        fingerprint=document.fingerprint,
        contract=load_result(lake, run_id, "records"),
        counts=counts,
        decontamination=load_checked(lake, run_id),
        source=describe(recipe, document.engines),
    )
    manifest = published.manifest
    lake.store.write(card_key(manifest.name, manifest.version), card(manifest).encode())
    name = f"{manifest.name}@{manifest.version}"
    where = f"{lake.uri.rstrip('/')}/{card_key(manifest.name, manifest.version)}"
    lines = [
        f"# {name}",
        f"{manifest.rows} records, content `{manifest.content_hash}`",
        # To be copied: no browser opens a folder or a bucket from a page of another host.
        f"Its card, and its manifest beside it: {code(where)}",
        f"To read the card: `cord card {name}`. To hold the release against its manifest: "
        f"`cord verify {name}`. To see how each record was written: `cord report {run_id}`.",
    ]
    if published.new:
        release_published(run_id, manifest.name, manifest.version, manifest.rows)
    else:
        lines.insert(2, "It was published before: these records are the same.")
    artifacts.page(run_id, "release", "\n\n".join(lines) + "\n", f"Release {name}")
    return {"release": name, "new": published.new}
