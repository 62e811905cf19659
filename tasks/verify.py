"""Judge the stated answers of one shard against the references."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
from prefect import task

from cord.engines.metering import AskedBy
from cord.engines.vllm.availability import Patience
from cord.ensemble import open_engine
from cord.lake import Lake, open_lake
from cord.lake.runs.progress import verify_app
from cord.lake.runs.run import load_recipe_of
from cord.lake.runs.run_tables import any_verdicts, trajectory_batches, verdicts_of
from cord.lake.tables.rows import Row, verdict_row
from cord.lake.tables.schemas import SCHEMAS
from cord.plan import verdict_keys
from cord.prompts import THINK_CLOSE
from cord.recipe import ANSWER_JUDGE, JudgeSettings, Recipe
from cord.scheduler import Stopped
from cord.types import Outcome, Verdict
from cord.verification import (
    NO_JUDGE,
    OF_THE_TEXT,
    AnswerJudge,
    Rules,
    Verifier,
    rules_of,
)
from tasks.board import BOARD
from tasks.failures import noting_failures
from tasks.policy import OPTIONS
from tasks.remote import heed_stop

VERIFIERS = 2
"""Verifying processes of this process; each judges some 200 answers a second."""
BATCH_ROWS = 1_024
IN_FLIGHT = 32
"""Open answers before the judge at once."""
_NARROW = (
    "planned_shard", "problem_id", "key", "rank", "finished", "answer", "reference", "alternatives",
    "domain",
)  # fmt: skip
UNFINISHED = Verdict("wrong", "none", "no answer was stated: it did not finish")


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
        return counted(shard, Counter())
    verdicts, outcomes = judge_shards(lake, run_id, [shard])[shard]
    lake.tables.append_once("verdicts", verdicts, app_id)
    return counted(shard, outcomes)


def judge_shards(
    lake: Lake, run_id: str, shards: Collection[int]
) -> dict[int, tuple[pa.Table, Counter[str]]]:
    """The new verdicts of each of these decoded shards, and how many of each outcome. Nothing is
    committed."""
    heed_stop(lake, run_id)
    recipe, folder = load_recipe_of(lake, run_id)
    verifier, judge = verifier_of(recipe), _answer_judge(recipe, Path(folder))
    name, known = verdict_keys(recipe), _known(lake, run_id, shards, recipe)
    verdicts = {shard: [SCHEMAS["verdicts"].empty_table()] for shard in shards}
    outcomes: dict[int, Counter[str]] = {shard: Counter() for shard in shards}
    for batch in trajectory_batches(lake, run_id, shards, _columns(recipe), BATCH_ROWS):
        new: list[tuple[Row, str]] = []
        for row in batch.to_pylist():
            key = name(row["key"], row["domain"])
            if (key, row["rank"]) not in known:
                new.append((row, key))
        judged = judge_all(verifier, judge, recipe.verify.domain, [row for row, _ in new])
        rows: dict[int, list[Row]] = {}
        for (row, key), verdict in zip(new, judged, strict=True):
            made = verdict_row(run_id, key, row, verdict)
            rows.setdefault(row["planned_shard"], []).append(made)
            outcomes[row["planned_shard"]][made["outcome"]] += 1
        for shard, of_shard in rows.items():
            verdicts[shard].append(pa.Table.from_pylist(of_shard, schema=SCHEMAS["verdicts"]))
    return {shard: (pa.concat_tables(verdicts[shard]), outcomes[shard]) for shard in shards}


def counted(shard: int, outcomes: Mapping[str, int]) -> dict[str, Any]:
    """What verifying a shard came to."""
    return {"shard": shard, **{name: outcomes.get(name, 0) for name in get_args(Outcome)}}


def _columns(recipe: Recipe) -> tuple[str, ...]:
    """What judging reads: the text, which may be gigabytes, only where a domain asks for it."""
    if recipe.verify.domain not in OF_THE_TEXT and recipe.problems.domain is None:
        return _NARROW
    listed = ", ".join(f"'{domain}'" for domain in OF_THE_TEXT)
    asked = f"finished and coalesce(domain, '{recipe.verify.domain}') in ({listed})"
    return (
        *_NARROW,
        f"case when {asked} then text end as text",
        f"case when {asked} then question end as question",
    )


def _known(
    lake: Lake, run_id: str, shards: Collection[int], recipe: Recipe
) -> frozenset[tuple[str, int]]:
    """(judgement key, rank) of the verdicts that earlier runs have given."""
    if not any_verdicts(lake, run_id, shards):
        return frozenset()  # the keys of a large shard take longer than that look
    name = verdict_keys(recipe)
    keys: set[str] = set()
    for batch in trajectory_batches(lake, run_id, shards, ("key", "domain")):
        columns = batch.to_pydict()
        keys.update(map(name, columns["key"], columns["domain"]))
    return frozenset(verdicts_of(lake, keys))


def verifier_of(recipe: Recipe) -> Verifier:
    """This process's pool of verifying processes, by a recipe's rules."""
    return shared_verifier(recipe.verify.time_limit_s, rules_of(recipe.verify))


@cache
def shared_verifier(time_limit_s: float, rules: Rules) -> Verifier:
    """This process's pool of verifying processes."""
    return Verifier(time_limit_s=time_limit_s, workers=VERIFIERS, rules=rules)


def _answer_judge(recipe: Recipe, folder: Path) -> AnswerJudge | None:
    model = recipe.answer_judge_model
    if model is None:
        return None
    patience = Patience(total_s=recipe.run.patience_s)
    engine = AskedBy(open_engine(model, recipe.search.worded, folder, patience), ANSWER_JUDGE)
    return AnswerJudge(engine, recipe.verify.judge or JudgeSettings(), recipe.run.seed)


def judge_all(
    verifier: Verifier, answer_judge: AnswerJudge | None, domain: str, rows: list[Row]
) -> list[Verdict]:
    """A verdict for each row of `decoded_sql`: at once where it takes no mathematics, else as many
    at a time as the verifier has processes."""
    verdicts: list[Verdict | None] = [None] * len(rows)
    costly: list[int] = []
    open_answers: list[int] = []
    for place, row in enumerate(rows):
        own = row["domain"] or domain
        if not row["finished"]:
            verdicts[place] = UNFINISHED
        elif own == "judge":
            open_answers.append(place)
        elif own == "code":
            costly.append(place)
        else:
            verdicts[place] = verifier.judge_at_once(own, row["answer"], _spellings(row))
            if verdicts[place] is None:
                costly.append(place)

    def calculate(place: int) -> Verdict:
        if BOARD.stop.is_set():
            raise Stopped("stopped on request")
        row = rows[place]
        own = row["domain"] or domain
        if own in OF_THE_TEXT:
            return verifier.verify(own, row["text"], _spellings(row))
        return verifier.judge(own, row["answer"], _spellings(row))

    with ThreadPoolExecutor(VERIFIERS) as threads:
        _fill(verdicts, costly, threads.map(calculate, costly))
    if open_answers:
        asked = [rows[place] for place in open_answers]
        _fill(verdicts, open_answers, asyncio.run(_judge_open(answer_judge, asked)))
    return [verdict for verdict in verdicts if verdict is not None]


def _fill(verdicts: list[Verdict | None], places: list[int], found: Iterable[Verdict]) -> None:
    for place, verdict in zip(places, found, strict=True):
        verdicts[place] = verdict


async def _judge_open(answer_judge: AnswerJudge | None, rows: list[Row]) -> list[Verdict]:
    seats = asyncio.Semaphore(IN_FLIGHT)

    async def judge(row: Row) -> Verdict:
        async with seats:
            if BOARD.stop.is_set():
                raise Stopped("stopped on request")
            if answer_judge is None:
                return NO_JUDGE
            stated = row["text"].rpartition(THINK_CLOSE)[2]
            return await answer_judge.judge(row["question"], stated, _spellings(row))

    return await asyncio.gather(*map(judge, rows))


def _spellings(row: Row) -> tuple[str, ...]:
    return (row["reference"], *row["alternatives"])
