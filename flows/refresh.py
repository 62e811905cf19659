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
from flows.batches import carry_out_batches, raise_failures
from flows.heartbeats import beating
from flows.runners import open_runner
from tasks import artifacts
from tasks.batch import TASK_RUNS
from tasks.board import BOARD
from tasks.check import check_contract
from tasks.decode import decode_shard
from tasks.decontaminate import decontaminate
from tasks.deduplicate import deduplicate
from tasks.publish import publish_release
from tasks.report import report_run, stored_summary
from tasks.select import select_records
from tasks.shard import shard_problems
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
    artifacts.how_to_go_on(lake, run_id)
    plan = shard_problems.with_options(retries=retries)(lake, run_id)
    with open_runner(recipe, open_lake(lake), run_id) as runner:
        if len(plan["shards"]) > TASK_RUNS:
            _batch_by_batch(lake, run_id, plan, retries, runner)
        else:
            decode_and_verify(lake, run_id, plan, retries, runner)
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


def _batch_by_batch(
    lake: str, run_id: str, plan: dict[str, Any], retries: int, runner: TaskRunner[Any]
) -> None:
    """As `decode_and_verify`, for more shards than Prefect should have task runs."""
    progress = artifacts.Progress(run_id)
    BOARD.begin(plan["to_decode"])
    BOARD.enter("decoding")
    rows = carry_out_batches(lake, run_id, plan["shards"], retries, runner, progress.show)
    artifacts.table(run_id, "batches", rows, "What each batch of shards came to")


def decode_and_verify(
    lake: str, run_id: str, plan: dict[str, Any], retries: int, runner: TaskRunner[Any]
) -> None:
    """Decode all shards and verify each as soon as it is decoded; wait, showing progress."""
    progress = artifacts.Progress(run_id)
    BOARD.begin(plan["to_decode"])
    BOARD.enter("decoding")
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
            progress.show(max(BOARD.share_done, done_shards))
            try:
                future = ended.get(timeout=LOOK_EVERY_S)
            except Empty:
                continue
            waiting.remove(future)
            future.wait()  # or its state is asked of Prefect's server, which may be away
            if future in decoded and future.state.is_completed():
                # Its result, for the same reason: of a future given on, the server is asked.
                one = {"lake_uri": lake, "run_id": run_id, "decoded": future.result()}
                verifying = runner.submit(verify, one)
                verified[verifying] = decoded[future]
                waiting.add(verifying)
                verifying.add_done_callback(ended.put)
        progress.show(1.0)
    except BaseException:  # SIGTERM, say: Prefect would wait until every shard is decoded
        BOARD.stop.set()
        raise
    _raise_failures(plan["shards"], decoded | verified)
    for stage, futures, about in (
        ("decode", decoded, "What each shard decoded"),
        ("verify", verified, "New verdicts of each shard"),
    ):
        artifacts.table(
            run_id, stage, [f.result() for f in sorted(futures, key=futures.__getitem__)], about
        )


def _unless_stopped() -> None:
    """Between two stages. What is published is reported, whoever asked to stop by then."""
    if BOARD.stop.is_set():
        raise Stopped("stopped on request")


def _raise_failures(shards: list[int], futures: dict[PrefectFuture[Any], int]) -> None:
    failed: dict[int, BaseException] = {}
    for future, shard in futures.items():
        future.wait()  # takes its final state from here; Prefect's API may lag behind
        if future.state.is_completed() or shard in failed:
            continue
        error = future.state.result(raise_on_failure=False)
        failed[shard] = error if isinstance(error, BaseException) else RuntimeError(str(error))
    raise_failures(len(shards), failed)
