"""Decode one shard: the collaborative search over each of its problems."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from prefect import task

from cord.ensemble import Ensemble, open_ensemble
from cord.in_flight import in_flight_of
from cord.lake import Lake, open_lake
from cord.lake.runs.journals import ShardJournal, forget_journal, journal_header
from cord.lake.runs.progress import decode_app
from cord.lake.runs.run import RunDocument, load_recipe_of, require_run
from cord.lake.runs.run_tables import problems_of
from cord.lake.runs.staging import DecodedShard, commit_staged, load_staged, stage, unstage
from cord.lake.tables.rows import (
    REUSED,
    Row,
    cost_rows,
    quarantine_rows,
    step_rows,
    to_problem,
    trajectory_rows,
)
from cord.ledger import Ledger
from cord.recipe import Recipe
from cord.scheduler import decode_problems
from cord.types import Decoding, Quarantined
from cord.usage import noting_usage
from tasks.board import BOARD
from tasks.failures import noting_failures
from tasks.policy import OPTIONS
from tasks.remote import heed_stop, naming_the_node
from tasks.seats import place_at_servers


@task(name="decode", task_run_name="decode {run_id} shard {shard}", **OPTIONS)
@noting_failures("decode")
def decode_shard(lake_uri: str, run_id: str, shard: int) -> dict[str, Any]:
    """Decode a shard's problems and commit steps, trajectories, costs and quarantine.

    Returns {"shard", "decoded", "quarantined", "rounds", "proposed_tokens"}, all 0 when the lake
    had it all."""
    with naming_the_node():
        return _decode_once(open_lake(lake_uri), run_id, shard)


def _decode_once(lake: Lake, run_id: str, shard: int) -> dict[str, Any]:
    done = {"shard": shard, "decoded": 0, "quarantined": 0, "rounds": 0, "proposed_tokens": 0}
    if shard == REUSED:
        return done
    document = require_run(lake, run_id)
    if lake.tables.committed("trajectories", [decode_app(run_id, shard)]):
        _clear(lake, document, shard)
        return done
    decoded = load_staged(lake, run_id, shard)
    if decoded is None:
        decoded = stage(lake, run_id, shard, _decode(lake, document, shard))
        done |= told_of(decoded)
    commit_staged(lake, run_id, shard, decoded)
    _clear(lake, document, shard)
    return done


def told_of(decoded: DecodedShard) -> dict[str, int]:
    """What decoding a shard came to."""
    return {
        "decoded": sum(row["rank"] == 0 for row in decoded.trajectories),
        "quarantined": len(decoded.quarantine),
        "rounds": len({(row["problem_id"], row["round"]) for row in decoded.steps}),
        "proposed_tokens": sum(row["tokens"] for row in decoded.costs),
    }


def _clear(lake: Lake, document: RunDocument, shard: int) -> None:
    """All is in the tables: what led there may go."""
    unstage(lake, document.run_id, shard)
    forget_journal(lake, document.search, document.run_id, shard)


def _decode(lake: Lake, document: RunDocument, shard: int) -> DecodedShard:
    recipe, folder = load_recipe_of(lake, document.run_id)
    rows = problems_of(lake, document.run_id, shard)
    return decode_rows(lake, document, shard, recipe, open_ensemble(recipe, Path(folder)), rows)


def decode_rows(
    lake: Lake,
    document: RunDocument,
    shard: int,
    recipe: Recipe,
    ensemble: Ensemble,
    rows: list[Row],
) -> DecodedShard:
    """Decode the planned problems `rows` of one shard; nothing but its journal is written."""
    run_id = document.run_id
    heed_stop(lake, run_id)
    keys = {row["problem_id"]: row["key"] for row in rows}
    ledger = Ledger(BOARD)
    header = journal_header(run_id, document.engines)

    async def decode(journal: ShardJournal) -> list[Decoding | Quarantined]:
        ended = decode_problems(
            [to_problem(row) for row in rows],
            ensemble.teachers,
            ensemble.criterion,
            recipe.search,
            recipe.run.seed,
            # All shards at work in this process share the run's places, the first shard first.
            in_flight=in_flight_of(run_id, recipe.run.in_flight),
            turn=shard,
            watcher=ledger,
            stop=BOARD.stop,
            go_on_without_lost=recipe.run.on_teacher_lost == "continue",
            journal=journal,
            retries=recipe.run.retries,
            integrator=ensemble.integrator,
        )
        return [done async for done in ended]

    # They end in any order; the lake gets them in the order of the problems.
    with (
        place_at_servers(recipe),
        noting_usage(lake, run_id, ensemble.metered_servers()),
        ShardJournal(lake, document.search, header, shard, keys) as journal,
    ):
        done = {_problem_id(one): one for one in asyncio.run(decode(journal))}
    in_order = [done[row["problem_id"]] for row in rows]
    decodings = [one for one in in_order if isinstance(one, Decoding)]
    quarantined = [one for one in in_order if isinstance(one, Quarantined)]
    return DecodedShard(
        steps=[r for d in decodings for r in step_rows(run_id, keys[d.problem.id], d)],
        trajectories=[
            row for d in decodings for row in trajectory_rows(run_id, keys[d.problem.id], d, shard)
        ],
        costs=[
            *(
                row
                for d in decodings
                for row in cost_rows(
                    run_id, d.problem.id, keys[d.problem.id], d.costs, d.trajectories[0]
                )
            ),
            *(
                row
                for q in quarantined
                for row in cost_rows(
                    run_id, q.problem_id, keys[q.problem_id], ledger.spent_on(q.problem_id)
                )
            ),
        ],
        quarantine=quarantine_rows(run_id, quarantined),
    )


def _problem_id(done: Decoding | Quarantined) -> str:
    return done.problem.id if isinstance(done, Decoding) else done.problem_id
