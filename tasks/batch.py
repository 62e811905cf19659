"""Several shards as one task run, where a run has very many.

A task run costs Prefect some 10 ms and a page on the dashboard, a commit reads a table's whole log,
a question looks at every file: ten thousand shards each by itself would spend more on these than on
a small model's search. So very many small ones go in batches. A shard stays what
is staged, committed, tried again and resumed by itself: one that fails is noted by its number, the
others of its batch go on, and the next try does what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from cord.ensemble import open_ensemble
from cord.errors import CordError, LakeError
from cord.lake import Lake, open_lake
from cord.lake.runs.journals import forget_journal
from cord.lake.runs.progress import decode_app, verify_app
from cord.lake.runs.run import RunDocument, load_recipe_of, require_run
from cord.lake.runs.run_tables import problems_in
from cord.lake.runs.shard_notes import Stage, clear_note, leave_note
from cord.lake.runs.staging import (
    DecodedShard,
    commit_staged_together,
    load_staged,
    stage,
    unstage,
)
from cord.lake.tables.rows import REUSED
from cord.scheduler import Stopped
from cord.usage import noting_usage
from tasks.board import BOARD
from tasks.decode import decode_rows, told_of
from tasks.failures import note_of
from tasks.policy import OPTIONS, is_passing
from tasks.shards import SHARDS
from tasks.verify import counted, judge_shards

TASK_RUNS = 512
"""A run of more small shards than that goes batch by batch."""
_BATCHES = 256
_PROBLEMS = 64
"""Of a batch, at most, one shard always: shards of a batch come one after another, and larger ones
are worth a task run each."""
_STEPS_TOGETHER = 20_000
"""Rows of `steps` after which decoded shards are committed: some 20 MB of texts in memory."""


def shards_together(shards: int, problems: int) -> int:
    """How many of so many shards a task run should carry, with so many problems in all; 1 where the
    shards are few, or large."""
    if shards <= TASK_RUNS:
        return 1
    wanted = max(16, -(-shards // _BATCHES))
    return max(1, min(wanted, _PROBLEMS * shards // max(1, problems)))


def in_batches(shards: Sequence[int], size: int) -> list[list[int]]:
    """Shards in batches of so many."""
    return [list(shards[i : i + size]) for i in range(0, len(shards), size)]


def _name(parameters: dict[str, Any]) -> str:
    return f"shards {parameters['run_id']} {_range(parameters['shards'])}"


def _range(shards: Sequence[int]) -> str:
    return f"{shards[0]} to {shards[-1]}"


_NAME: Any = _name  # Prefect's own type for it fits no plain function


@task(name="shards", task_run_name=_NAME, **OPTIONS)
def carry_out_batch(lake_uri: str, run_id: str, shards: list[int]) -> dict[str, Any]:
    """Decode and verify these shards, as `decode_shard` and `verify_shard` do one.

    Returns {"shards": "0 to 19", "decoded", "quarantined", "proposed_tokens", "correct", "wrong",
    "undecided"}. Shards that fail leave the others alone; then raises their error, a passing one
    first."""
    lake = open_lake(lake_uri)
    totals: Counter[str] = Counter()
    failures = _decode(lake, require_run(lake, run_id), shards, totals)
    whole = [shard for shard in shards if shard not in failures]
    try:
        totals.update(_verify(lake, run_id, whole))
    except Stopped:
        raise
    except Exception as error:
        failures |= dict.fromkeys(whole, error)
        _note(lake, run_id, "verify", failures=dict.fromkeys(whole, error))
    if failures:
        raise _failure(failures)
    return {"shards": _range(shards), **totals}


def _decode(
    lake: Lake, document: RunDocument, shards: Sequence[int], totals: Counter[str]
) -> dict[int, Exception]:
    """Decode and commit what is missing; returns the shards that failed."""
    run_id = document.run_id
    totals.update(decoded=0, quarantined=0, proposed_tokens=0)
    done = lake.tables.committed("trajectories", [decode_app(run_id, shard) for shard in shards])
    missing = [s for s in shards if s != REUSED and decode_app(run_id, s) not in done]
    there = [s for s in shards if decode_app(run_id, s) in done]
    if there and len(missing) < len(shards):  # a try before this one may have ended right there
        _clear(lake, document, there)
    if not missing:
        return {}
    recipe, folder = load_recipe_of(lake, run_id)
    ensemble = open_ensemble(recipe, Path(folder))
    problems = problems_in(lake, run_id, missing)
    failures: dict[int, Exception] = {}
    waiting: dict[int, DecodedShard] = {}

    def commit() -> None:
        if waiting:
            commit_staged_together(lake, run_id, waiting)
            _clear(lake, document, list(waiting))
            SHARDS.ended("decode", *waiting)
            waiting.clear()

    with noting_usage(lake, run_id, ensemble.metered_servers()):
        for shard in missing:
            _begin("decode", shard)
            try:
                decoded = load_staged(lake, run_id, shard)
                if decoded is None:
                    rows = problems[shard]
                    made = decode_rows(lake, document, shard, recipe, ensemble, rows)
                    decoded = stage(lake, run_id, shard, made)
                    totals.update(told_of(decoded))
            except Stopped:
                commit()
                raise
            except Exception as error:
                failures[shard] = error
                _note(lake, run_id, "decode", failures={shard: error})
                continue
            waiting[shard] = decoded
            if sum(len(one.steps) for one in waiting.values()) >= _STEPS_TOGETHER:
                commit()
        commit()
    return failures


def _clear(lake: Lake, document: RunDocument, shards: Sequence[int]) -> None:
    """All is in the tables: what led there may go."""
    unstage(lake, document.run_id, *shards)
    forget_journal(lake, document.search, document.run_id, *shards)
    with suppress(LakeError):
        clear_note(lake, document.run_id, "decode", *shards)


def _verify(lake: Lake, run_id: str, shards: Sequence[int]) -> Counter[str]:
    """Commit the verdicts that are missing of these decoded shards; returns how many of each."""
    BOARD.enter("verification")
    outcomes: Counter[str] = Counter(correct=0, wrong=0, undecided=0)
    done = lake.tables.committed("verdicts", [verify_app(run_id, shard) for shard in shards])
    missing = [shard for shard in shards if verify_app(run_id, shard) not in done]
    if missing:
        judged = judge_shards(lake, run_id, missing)
        parts = {verify_app(run_id, shard): rows for shard, (rows, _) in judged.items()}
        lake.tables.append_each_once("verdicts", parts)
        for shard, (_, said) in judged.items():
            told = counted(shard, said)
            outcomes.update({name: told[name] for name in outcomes})
    SHARDS.ended("verify", *shards)
    with suppress(LakeError):
        clear_note(lake, run_id, "verify", *shards)
    return outcomes


def _begin(stage: Stage, shard: int) -> None:
    context = TaskRunContext.get()
    if context is not None:
        SHARDS.tried(stage, shard, context.task_run.run_count, str(context.task_run.id))


def _note(lake: Lake, run_id: str, about: Stage, failures: dict[int, Exception]) -> None:
    notes = [note_of(about, shard, error) for shard, error in failures.items()]
    for note in notes:
        SHARDS.failed(note.shard, note.sentence, note.will_retry)
    with suppress(LakeError):  # the error itself is what counts
        for note in notes:
            leave_note(lake, run_id, note)


def _failure(failures: dict[int, Exception]) -> Exception:
    """One error for all, of a kind that is tried again where that helps any of them."""
    shard, error = min(failures.items(), key=lambda one: (not is_passing(one[1]), one[0]))
    if len(failures) == 1 or not isinstance(error, CordError):
        return error
    return type(error)(f"{len(failures)} shards failed, of them {shard}: {error}")
