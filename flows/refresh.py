"""The main job: problems to a release.

    shard ─> decode (each shard) ─> verify (each shard) ─> select ─> deduplicate ─> decontaminate
          ─> check ─> publish ─> report

The body of the flow reads as that line. Every task looks into the lake first, so that a resume, a
Prefect retry and a run of the same command all do only what is missing.
"""

from __future__ import annotations

from typing import Any

from prefect import flow

from cord.errors import ContractBroken
from cord.lake import open_lake
from cord.lake.runs.run import load_recipe_of, require_run
from cord.recipe import Recipe
from cord.scheduler import Stopped
from flows.at_work import at_work, in_its_own_thread
from flows.heartbeats import beating
from flows.runners import open_runner
from flows.shards import decode_and_verify
from flows.tagging import tag_this_run
from tasks import artifacts
from tasks.board import BOARD
from tasks.check import check_contract
from tasks.decontaminate import decontaminate
from tasks.deduplicate import deduplicate
from tasks.publish import publish_release
from tasks.report import report_run, stored_summary
from tasks.select import select_records
from tasks.shard import shard_problems


@flow(
    name="refresh",
    flow_run_name="{run_id}",
    persist_result=False,  # naming a serializer alone would make Prefect keep the result
    result_serializer="json",
    log_prints=False,
)
def refresh(lake: str, run_id: str) -> dict[str, Any]:
    """Carry out the run that `flows.launch` has laid into the lake; returns its summary.

    Raises `ContractBroken` when the contract did not hold (the summary is written all the same),
    `CordError` when shards failed, `RunHeld` when another process carries the run out."""
    with beating():
        return in_its_own_thread(lambda: carry_through(lake, run_id))


def carry_through(lake: str, run_id: str) -> dict[str, Any]:
    """The body of the flow, for whichever flow carries a run out."""
    opened = open_lake(lake)
    if require_run(opened, run_id).state == "completed":
        return stored_summary(opened, run_id)
    with at_work(opened, run_id):
        return _to_release(lake, run_id, load_recipe_of(opened, run_id)[0])


def _to_release(lake: str, run_id: str, recipe: Recipe) -> dict[str, Any]:
    """All stages, one after another."""
    retries = recipe.run.retries
    tag_this_run(recipe)
    artifacts.how_to_go_on(lake, run_id)
    plan = shard_problems.with_options(retries=retries)(lake, run_id)
    with open_runner(recipe, open_lake(lake), run_id) as runner:
        decode_and_verify(lake, run_id, plan, recipe, runner)
    _unless_stopped()
    selected = select_records.with_options(retries=retries)(lake, run_id)
    deduplicate.with_options(retries=retries)(lake, run_id)
    counts = decontaminate.with_options(retries=retries)(lake, run_id, selected)
    _unless_stopped()
    checked = check_contract.with_options(retries=retries)(lake, run_id, counts)
    if not checked["holds"]:
        report_run(lake, run_id, counts, "refused", message=checked["explanation"])
        raise ContractBroken(checked["explanation"])
    if counts["rows"] == 0:
        return report_run(lake, run_id, counts, "completed", message="no record to publish")
    _unless_stopped()
    published = publish_release.with_options(retries=retries)(lake, run_id, counts)
    return report_run(lake, run_id, counts, "completed", release=published["release"])


def _unless_stopped() -> None:
    """Between two stages. What is published is reported, whoever asked to stop by then."""
    if BOARD.stop.is_set():
        raise Stopped("stopped on request")
