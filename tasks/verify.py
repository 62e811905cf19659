"""Judge the stated answers of one shard against the references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, get_args

import pyarrow as pa
from prefect import task

from cord.lake import open_lake
from cord.lake.runs.progress import verify_app
from cord.lake.runs.run import load_recipe_of
from cord.lake.runs.run_tables import trajectories_of, verdicts_of
from cord.lake.tables.rows import Row, verdict_row
from cord.lake.tables.schemas import SCHEMAS
from cord.plan import verdict_key
from cord.scheduler import Stopped
from cord.types import Outcome, Verdict
from cord.verification import Verifier
from tasks.board import BOARD
from tasks.failures import noting_failures
from tasks.policy import OPTIONS

VERIFIERS = 2
"""Verifying processes of this process; each judges some 200 answers a second."""


@task(name="verify", task_run_name="verify {run_id} shard {decoded[shard]}", **OPTIONS)
@noting_failures("verify")
def verify_shard(lake_uri: str, run_id: str, decoded: dict[str, Any]) -> dict[str, Any]:
    """Commit a verdict for each trajectory of a decoded shard.

    `decoded` is what `decode_shard` returned. Returns {"shard", "correct", "wrong",
    "undecided"}: the new verdicts."""
    shard = int(decoded["shard"])
    BOARD.enter("verification")
    lake = open_lake(lake_uri)
    app_id = verify_app(run_id, shard)
    if lake.tables.committed("verdicts", [app_id]):
        return _counted(shard, [])
    recipe, _ = load_recipe_of(lake, run_id)
    trajectories = trajectories_of(lake, run_id, shard)
    known = verdicts_of(lake, {verdict_key(recipe, t["key"]) for t in trajectories})
    new = [t for t in trajectories if (verdict_key(recipe, t["key"]), t["rank"]) not in known]
    verifier = shared_verifier(recipe.verify.time_limit_s)
    rows = [
        verdict_row(run_id, verdict_key(recipe, trajectory["key"]), trajectory, verdict)
        for trajectory, verdict in _judge(verifier, recipe.verify.domain, new)
    ]
    lake.tables.append_once(
        "verdicts", pa.Table.from_pylist(rows, schema=SCHEMAS["verdicts"]), app_id
    )
    return _counted(shard, rows)


def _counted(shard: int, rows: list[Row]) -> dict[str, Any]:
    outcomes = Counter(row["outcome"] for row in rows)
    return {"shard": shard, **{name: outcomes[name] for name in get_args(Outcome)}}


@cache
def shared_verifier(time_limit_s: float) -> Verifier:
    """This process's pool of verifying processes."""
    return Verifier(time_limit_s=time_limit_s, workers=VERIFIERS)


def _judge(
    verifier: Verifier, domain: str, trajectories: list[Row]
) -> Iterator[tuple[Row, Verdict]]:
    """Judge all, as many at once as the verifier has processes."""

    def judge(trajectory: Row) -> Verdict:
        if BOARD.stop.is_set():
            raise Stopped("stopped on request")
        if not trajectory["finished"]:
            return Verdict("wrong", "none", "no answer was stated: it did not finish")
        spellings = (trajectory["reference"], *trajectory["alternatives"])
        return verifier.verify(domain, trajectory["text"], spellings)

    with ThreadPoolExecutor(VERIFIERS) as threads:
        yield from zip(trajectories, threads.map(judge, trajectories), strict=True)
