"""The main job: problems to a release.

    shard ─> decode (each shard) ─> verify (each shard) ─> select ─> deduplicate ─> decontaminate
          ─> check ─> publish ─> report

The body of the flow reads as that line. Every task looks into the lake first, so that a resume, a
Prefect retry and a run of the same command all do only what is missing.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import Any

from prefect import Task, flow, unmapped
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner

from cord.errors import ContractBroken
from cord.lake import open_lake
from cord.lake.runs.run import load_recipe_of, require_run
from cord.recipe import Recipe
from cord.scheduler import Stopped
from flows.at_work import at_work, in_its_own_thread
from flows.batches import carry_out_batches, raise_failures, told
from flows.heartbeats import beating
from flows.runners import is_remote, open_runner
from flows.tagging import tag_this_run
from tasks import artifacts
from tasks.batch import shards_together
from tasks.board import BOARD
from tasks.check import check_contract
from tasks.decode import decode_shard
from tasks.decontaminate import decontaminate
from tasks.deduplicate import deduplicate
from tasks.live import Live
from tasks.publish import publish_release
from tasks.report import report_run, stored_summary
from tasks.select import select_records
from tasks.shard import shard_problems
from tasks.shards import SHARDS
from tasks.verify import verify_shard

LOOK_EVERY_S = 2.0
"""How often the progress is shown on the dashboard."""


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
        carry_out = _batch_by_batch if _together(plan) > 1 else decode_and_verify
        carry_out(lake, run_id, plan, recipe, runner)
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


def _together(plan: dict[str, Any]) -> int:
    return shards_together(len(plan["shards"]), plan["to_decode"])


def _batch_by_batch(
    lake: str, run_id: str, plan: dict[str, Any], recipe: Recipe, runner: TaskRunner[Any]
) -> None:
    """As `decode_and_verify`, for very many small shards."""
    live = _begin(run_id, plan)
    rows = carry_out_batches(
        lake,
        run_id,
        plan["shards"],
        _together(plan),
        recipe,
        runner,
        live.show,
    )
    live.show(1.0, is_last=True)
    artifacts.table(run_id, "batches", rows, "What each batch of shards came to")


def decode_and_verify(
    lake: str, run_id: str, plan: dict[str, Any], recipe: Recipe, runner: TaskRunner[Any]
) -> None:
    """Decode all shards that are missing and verify each as soon as it is decoded; wait, showing
    progress."""
    live, retries = _begin(run_id, plan), recipe.run.retries
    decode: Task[..., Any] = decode_shard.with_options(retries=retries)
    verify: Task[..., Any] = verify_shard.with_options(retries=retries)
    every = {"lake_uri": unmapped(lake), "run_id": unmapped(run_id), "shard": plan["shards"]}
    decoded = dict(zip(runner.map(decode, every), plan["shards"], strict=True))
    verified: dict[PrefectFuture[Any], int] = {}
    # Each is heard of once; `prefect.futures.wait` would leave a callback behind at every look.
    ended: SimpleQueue[PrefectFuture[Any]] = SimpleQueue()
    waiting: set[PrefectFuture[Any]] = set(decoded)
    try:
        for future in decoded:
            future.add_done_callback(ended.put)
        while waiting:
            done_shards = len(verified.keys() - waiting) / max(1, len(decoded))
            live.show(max(BOARD.share_done, done_shards))
            try:
                future = ended.get(timeout=LOOK_EVERY_S)
            except Empty:
                continue
            waiting.remove(future)
            future.wait()  # or its state is asked of Prefect's server, which may be away
            _note_end(future, decoded.get(future), verified.get(future))
            if future in decoded and future.state.is_completed():
                if is_remote(recipe):
                    BOARD.shard_done(future.result())
                # Its result, for the same reason: of a future given on, the server is asked.
                one = {"lake_uri": lake, "run_id": run_id, "decoded": future.result()}
                verifying = runner.submit(verify, one)
                verified[verifying] = decoded[future]
                waiting.add(verifying)
                verifying.add_done_callback(ended.put)
        live.show(1.0, is_last=True)
    except BaseException:  # SIGTERM, say: Prefect would wait until every shard is decoded
        BOARD.stop.set()
        raise
    _raise_failures(run_id, recipe, plan["shards"], decoded | verified)
    for stage, futures, about in (
        ("decode", decoded, "What each shard decoded"),
        ("verify", verified, "New verdicts of each shard"),
    ):
        rows = [future.result() for future in sorted(futures, key=futures.__getitem__)]
        if rows:
            artifacts.table(run_id, stage, rows, about)


def _begin(run_id: str, plan: dict[str, Any]) -> Live:
    """The boards are those of this run from now on, and its page is there."""
    BOARD.begin(plan["to_decode"])
    BOARD.enter("decoding")
    SHARDS.begin(plan["planned"], plan["shards"])
    return Live(run_id, BOARD, SHARDS)


def _note_end(future: PrefectFuture[Any], decoded: int | None, verified: int | None) -> None:
    """A shard's task has ended, for its line on the page."""
    stage, shard = ("decode", decoded) if decoded is not None else ("verify", verified)
    assert shard is not None
    task_run = str(getattr(future, "task_run_id", ""))
    if future.state.is_completed():
        SHARDS.ended(stage, shard, task_run=task_run)
    else:
        SHARDS.failed(shard, told(_error_of(future)), task_run=task_run)


def _error_of(future: PrefectFuture[Any]) -> BaseException:
    error = future.state.result(raise_on_failure=False)
    return error if isinstance(error, BaseException) else RuntimeError(str(error))


def _unless_stopped() -> None:
    """Between two stages. What is published is reported, whoever asked to stop by then."""
    if BOARD.stop.is_set():
        raise Stopped("stopped on request")


def _raise_failures(
    run_id: str, recipe: Recipe, shards: list[int], futures: dict[PrefectFuture[Any], int]
) -> None:
    failed: dict[int, BaseException] = {}
    for future, shard in futures.items():
        future.wait()  # takes its final state from here; Prefect's API may lag behind
        if not future.state.is_completed() and shard not in failed:
            failed[shard] = _error_of(future)
    raise_failures(run_id, recipe.name, len(shards), failed)
