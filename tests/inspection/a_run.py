"""A run as the factory carries it out, one durable step after another, without models.

Steps are the factory's own writes into the lake, in its order, and each may be done again: so a run
that was killed is `carry_out(lake, steps=n)`, and one that is resumed is `carry_out` once more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from cord.journal import Header, header_line
from cord.lake import Lake
from cord.lake.releases.manifest import Manifest
from cord.lake.releases.release import list_releases, manifest_key, publish
from cord.lake.runs.journals import journal_folder
from cord.lake.runs.progress import decode_app, verify_app
from cord.lake.runs.run import RunDocument, now, save_recipe, save_run
from cord.lake.runs.staging import DECODED, DecodedShard, stage, unstage
from cord.lake.tables.schemas import SCHEMAS
from cord.recipe import Recipe

RUN = "demo-1"
NAME = "demo"
SEARCH = "5ea7c4" * 8
SHARDS = {0: ["p0", "p1", "p2"], 1: ["p3", "p4"]}
PROBLEMS = [p for problems in SHARDS.values() for p in problems]
WRONG = "p1"
UNDECODABLE = "p4"
COUNTS = {"problems": 6, "records": 3, "wrong": 1, "quarantined": 2, "correct": 3, "rows": 3}
RECIPE = Recipe.model_validate(
    {
        "name": NAME,
        "problems": {"path": "problems.jsonl"},
        "teachers": [{"name": "ada", "model": "cord:ada"}],
        "meta_prover": {"model": "cord:meta"},
    }
)
Step = Callable[[], object]


def carry_out(lake: Lake, steps: int | None = None, run_id: str = RUN) -> None:
    """Do the first so many steps of a run, or all of them."""
    for _, step in list(all_steps(lake, run_id))[:steps]:
        step()


def step_names(lake: Lake) -> list[str]:
    """What each step does."""
    return [name for name, _ in all_steps(lake, RUN)]


def all_steps(lake: Lake, run_id: str) -> Iterator[tuple[str, Step]]:
    """Every durable write of a run, in order."""
    yield "recipe", lambda: save_recipe(lake, run_id, RECIPE, "/home/user")
    yield "document", lambda: save_run(lake, document(run_id))
    torn = [{"stage": "read", "source": "p:9", "reason": "torn", "content": "{"}]
    yield "intake", lambda: append(lake, "quarantine", torn, run_id, f"{run_id}/intake")
    yield "plan", lambda: append(lake, "problems", plan(), run_id, f"{run_id}/plan")
    for shard in SHARDS:
        yield from shard_steps(lake, run_id, shard)
    for shard in SHARDS:
        rows = [verdict(p, "wrong" if p == WRONG else "correct") for p in decoded(shard)]
        app_id = verify_app(run_id, shard)
        yield f"verdicts {shard}", lambda r=rows, a=app_id: append(lake, "verdicts", r, run_id, a)
    app_id = f"{run_id}/deduplicate"
    yield "duplicates", lambda: append(lake, "quarantine", [], run_id, app_id)
    counts = json.dumps(COUNTS).encode()
    yield "counts", lambda: lake.store.write(f"runs/{run_id}/counts.json", counts)
    yield "commit", lambda: commit_only(lake, run_id)
    yield "manifest", lambda: released(lake, run_id)
    yield "summary", lambda: lake.store.write(f"runs/{run_id}/summary.json", b"{}")
    yield "close", lambda: save_run(lake, closed(lake, run_id))


def shard_steps(lake: Lake, run_id: str, shard: int) -> Iterator[tuple[str, Step]]:
    """A shard is decoded, staged, committed table by table, and what led there goes."""
    segment = f"{journal_folder(SEARCH, run_id, shard)}writer-000001.jsonl"
    header = header_line(Header(cord="1", run_id=run_id, engines={}))
    staged = staged_shard(run_id, shard)

    def is_done() -> bool:
        return bool(lake.tables.committed("trajectories", [decode_app(run_id, shard)]))

    yield f"journal {shard}", lambda: is_done() or lake.store.write(segment, header)
    yield f"stage {shard}", lambda: is_done() or stage(lake, run_id, shard, staged)
    for table in DECODED:
        rows = pa.Table.from_pylist(getattr(staged, table), schema=SCHEMAS[table])
        yield (
            f"{table} {shard}",
            lambda t=table, r=rows: lake.tables.append_once(t, r, decode_app(run_id, shard)),
        )
    yield f"unstage {shard}", lambda: unstage(lake, run_id, shard)
    yield f"forget {shard}", lambda: lake.store.delete([segment])


def document(run_id: str, **changes: Any) -> RunDocument:
    """The run's document when it begins."""
    fields: dict[str, Any] = {
        "run_id": run_id,
        "recipe": NAME,
        "fingerprint": "f1",
        "created_at": now(),
        "shards": len(SHARDS),
        "problems": COUNTS["problems"],
        "search": SEARCH,
    }
    return RunDocument(**{**fields, **changes})


def closed(lake: Lake, run_id: str) -> RunDocument:
    """The run's document when it is over."""
    counts = {name: COUNTS[name] for name in ("records", "wrong", "quarantined")}
    release = list_releases(lake, NAME)[-1].label
    return document(run_id, state="completed", ended_at=now(), release=release, **counts)


def staged_shard(run_id: str, shard: int) -> DecodedShard:
    """Rows of a decoded shard."""
    done = decoded(shard)
    lost = [p for p in SHARDS[shard] if p not in done]
    steps = [
        full("steps", run_id, problem_id=p, key=f"k-{p}", round=0, place=n, teacher="ada", text="s")
        for p in done
        for n in range(2)
    ]
    trajectories = [
        full(
            "trajectories", run_id, problem_id=p, key=f"k-{p}", rank=0, finished=True, answer="2",
            text="s", teachers=["ada"], tokens=5, steps=1, score=0.5, missing=[],
        )
        for p in done
    ]  # fmt: skip
    costs = [
        full(
            "costs", run_id, problem_id=p, key=f"k-{p}", teacher="ada", proposals=2, tokens=9,
            kept_tokens=5, thrown_away_tokens=4, prompt_tokens=3, seconds=0.1,
        )
        for p in SHARDS[shard]
    ]  # fmt: skip
    aside = [full("quarantine", run_id, stage="decode", problem_id=p, reason="no") for p in lost]
    return DecodedShard(steps, trajectories, costs, aside)


def decoded(shard: int) -> list[str]:
    return [p for p in SHARDS[shard] if p != UNDECODABLE]


def plan() -> list[dict[str, Any]]:
    return [
        {"problem_id": p, "question": "1+1?", "answer": "2", "key": f"k-{p}", "shard": shard}
        for shard, problems in SHARDS.items()
        for p in problems
    ]


def verdict(problem_id: str, outcome: str) -> dict[str, Any]:
    return {"problem_id": problem_id, "key": "j", "rank": 0, "outcome": outcome, "answer": "2"}


def records(run_id: str) -> pa.Table:
    """What the run publishes."""
    rows = [
        full(
            "records", run_id, problem_id=p, question="1+1?", answer="2", key=f"k-{p}", rank=0,
            messages=[{"role": "user", "content": "1+1?"}], teachers=["ada"], steps=1, tokens=5,
            score=0.5, missing=[],
        )
        for p in PROBLEMS
        if p not in (WRONG, UNDECODABLE)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMAS["records"])


def released(lake: Lake, run_id: str = RUN) -> Manifest:
    """The run's release; made where it is not yet."""
    contract = {"holds": True}
    return publish(lake, NAME, records(run_id), run_id, "f1", contract, COUNTS).manifest


def commit_only(lake: Lake, run_id: str) -> None:
    """Publish up to the commit: the manifest is taken away again, if it was not there before."""
    before = set(lake.store.list("releases/"))
    key = manifest_key(NAME, released(lake, run_id).version)
    if key not in before:
        lake.store.delete([key])


def append(lake: Lake, table: str, rows: list[dict[str, Any]], run_id: str, app_id: str) -> None:
    """Rows into a table of the lake, once."""
    whole = [full(table, run_id, **row) for row in rows]
    lake.tables.append_once(table, pa.Table.from_pylist(whole, schema=SCHEMAS[table]), app_id)


def full(table: str, run_id: str, **row: Any) -> dict[str, Any]:
    """A row with all of a table's columns."""
    return {name: {"run_id": run_id, **row}.get(name) for name in SCHEMAS[table].names}
