"""A pilot: a few of a recipe's problems decoded for real, in memory. Nothing reaches a lake."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from cord.ensemble import Ensemble
from cord.estimate import PilotProblem
from cord.lake.tables.rows import step_rows, trajectory_rows
from cord.lake.tables.schemas import SCHEMAS
from cord.ledger import Ledger
from cord.recipe import Recipe
from cord.scheduler import Silent, decode_problems
from cord.types import Cost, Decoding, Problem, Quarantined


def drawn(problems: Sequence[Problem], count: int, seed: int) -> list[Problem]:
    """As many problems as asked for, at random, or all: the first ones may be the easy ones."""
    return random.Random(seed).sample(list(problems), min(count, len(problems)))  # noqa: S311


async def fly(
    recipe: Recipe, ensemble: Ensemble, problems: Sequence[Problem]
) -> list[PilotProblem]:
    """Decode the problems as a run would, and say what each came to.

    Raises `EngineError` where an engine is away."""
    ledger = Ledger(Silent())
    ended = decode_problems(
        problems,
        ensemble.teachers,
        ensemble.criterion,
        recipe.search,
        recipe.run.seed,
        in_flight=recipe.run.in_flight,
        watcher=ledger,
        go_on_without_lost=recipe.run.on_teacher_lost == "continue",
        retries=recipe.run.retries,
        integrator=ensemble.integrator,
    )
    return [_counted(done, ledger) async for done in ended]


def _counted(done: Decoding | Quarantined, ledger: Ledger) -> PilotProblem:
    decoded = isinstance(done, Decoding)
    costs: dict[str, Cost] = (
        done.costs if isinstance(done, Decoding) else dict(ledger.spent_on(done.problem_id))
    )
    candidates = (
        [c for r in done.rounds for c in r.candidates] if isinstance(done, Decoding) else []
    )
    return PilotProblem(
        proposals={name: cost.proposals for name, cost in costs.items()},
        sampled={name: cost.tokens for name, cost in costs.items()},
        read={name: cost.prompt_tokens for name, cost in costs.items()},
        cached={name: cost.cached_tokens for name, cost in costs.items()},
        scored=len(candidates),
        scored_tokens=sum(c.cost.prompt_tokens + c.step.tokens for c in candidates),
        stored_bytes=_stored(done) if decoded and isinstance(done, Decoding) else 0,
    )


def _stored(decoding: Decoding) -> int:
    """Bytes of its rows in the lake's tables, by themselves."""
    size = 0
    for table, rows in (
        ("steps", step_rows("run", "key", decoding)),
        ("trajectories", trajectory_rows("run", "key", decoding)),
    ):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMAS[table]), sink, compression="zstd")
        size += sink.getvalue().size
    return size
