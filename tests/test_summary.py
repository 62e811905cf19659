"""What a run cost: everything that was paid for its problems, once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from cord.lake import Lake, open_lake
from cord.lake.runs.run import RunDocument, require_run, save_run
from cord.lake.tables.rows import (
    REUSED,
    Row,
    cost_rows,
    problem_rows,
    step_rows,
    trajectory_rows,
)
from cord.lake.tables.schemas import SCHEMAS
from cord.summary import Summary, summarise
from cord.types import Candidate, Cost, Decoding, Problem, Round, Step, Trajectory
from cord.usage import Usage, usage_folder

COUNTS = {"problems": 3, "correct": 1, "records": 1, "wrong": 1, "quarantined": 1}
PROBLEMS = {name: Problem(name, f"question {name}", "1") for name in ("p1", "p2", "p3")}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"), create=True)


def add(lake: Lake, table: str, rows: Iterable[Row], app_id: str) -> None:
    lake.tables.append_once(table, pa.Table.from_pylist([*rows], schema=SCHEMAS[table]), app_id)


def plan(lake: Lake, run_id: str, shards: dict[str, int]) -> None:
    """A run over the problems named, each in its shard."""
    save_run(
        lake,
        RunDocument(
            run_id=run_id,
            recipe="demo",
            fingerprint=run_id,
            created_at=datetime(2026, 11, 1, tzinfo=UTC),
            ended_at=datetime(2026, 11, 1, 0, 2, tzinfo=UTC),
            engines={"meta-prover": "meta on vllm 0.32.0"},
        ),
    )
    problems = [PROBLEMS[name] for name in shards]
    add(lake, "problems", problem_rows(run_id, problems, keys(shards), shards), run_id)


def keys(names: Iterable[str]) -> dict[str, str]:
    return {name: f"key {name}" for name in names}


def step(teacher: str, tokens: int) -> Step:
    return Step(f"### Step 1. {teacher}", teacher, (teacher,), (), "m", tokens, 0.5, 0.1)


def decoded(lake: Lake, run_id: str, name: str, cached: int | None = 60) -> None:
    """A search of one round: ada's step of 10 tokens is kept, ben's of 20 is not."""
    ada, ben = Cost(1, 10, 100, cached, 1.5), Cost(2, 20, 100, 40, 2.0)
    round_ = Round(
        0,
        (Candidate(0, step("ada", 10), kept=True, cost=ada), Candidate(0, step("ben", 8))),
        (("ben", "an empty step"),),
        (("ada", ada), ("ben", ben)),
        missing=("cyd",) if name == "p1" else (),
    )
    best = Trajectory((step("ada", 10),), finished=True, answer="1")
    decoding = Decoding(PROBLEMS[name], (best,), (round_,))
    key = f"key {name}"
    app_id = f"{run_id} {name}"
    add(lake, "steps", step_rows(run_id, key, decoding), app_id)
    add(lake, "trajectories", trajectory_rows(run_id, key, decoding), app_id)
    add(lake, "costs", cost_rows(run_id, name, key, decoding.costs, best), app_id)


def refused(lake: Lake, run_id: str, name: str) -> None:
    """A problem on which ben wrote 7 tokens before it was set aside."""
    rows = cost_rows(run_id, name, f"key {name}", {"ben": Cost(1, 7, 50, 5, 1.0)})
    add(lake, "costs", rows, f"{run_id} {name}")


def adds_up(summary: Summary) -> bool:
    """Per teacher and in all: proposed = kept + thrown away."""
    for part in (summary, *summary.shares):
        assert part.tokens_proposed == part.tokens_kept + part.tokens_thrown_away
        assert min(part.tokens_kept, part.tokens_thrown_away) >= 0
    for name in ("tokens_proposed", "tokens_kept", "tokens_thrown_away", "prompt_tokens"):
        assert getattr(summary, name) == sum(getattr(s, name) for s in summary.shares)
    return True


def test_what_was_spent_on_problems_that_were_set_aside_is_part_of_the_cost(lake: Lake) -> None:
    plan(lake, "run", {"p1": 0, "p2": 0, "p3": 1})
    for name in ("p1", "p2"):
        decoded(lake, "run", name)
    refused(lake, "run", "p3")
    made = summarise(lake, require_run(lake, "run"), COUNTS)
    assert adds_up(made)
    assert (made.tokens_proposed, made.tokens_kept, made.tokens_thrown_away) == (67, 20, 47)
    assert made.tokens_per_record == 67 and made.tokens_reused == 0
    assert made.prompt_tokens == 450 and made.cached_tokens == 205
    ada, ben = made.shares
    assert (ada.teacher, ada.share, ada.tokens_kept, ada.cache_hits) == ("ada", 1.0, 20, 0.6)
    assert (ben.teacher, ben.share, ben.proposals, ben.tokens_proposed) == ("ben", 0.0, 5, 47)
    assert (ben.request_seconds, ben.requests, ben.seconds_busy) == (5.0, None, None)
    assert made.meta_prover.engine == "meta on vllm 0.32.0" and made.meta_prover.requests is None
    assert made.servers == ()


def test_a_run_counts_what_an_earlier_one_paid_once_and_says_so(lake: Lake) -> None:
    plan(lake, "first", {"p1": 0, "p2": 0})
    decoded(lake, "first", "p1")
    refused(lake, "first", "p2")  # in vain: the second run decodes it again
    plan(lake, "second", {"p1": REUSED, "p2": 0})
    decoded(lake, "second", "p2")
    decoded(lake, "third", "p1")  # another run at the same time: the smaller id counts
    decoded(lake, "a run elsewhere", "p3")
    made = summarise(lake, require_run(lake, "second"), COUNTS)
    assert adds_up(made)
    assert (made.tokens_proposed, made.tokens_reused, made.tokens_kept) == (60, 30, 20)
    first = summarise(lake, require_run(lake, "first"), COUNTS)
    assert adds_up(first) and first.tokens_proposed == 60


def test_a_cache_that_is_not_known_of_is_not_empty(lake: Lake) -> None:
    plan(lake, "run", {"p1": 0, "p2": 0})
    decoded(lake, "run", "p1", cached=None)
    decoded(lake, "run", "p2", cached=3)
    made = summarise(lake, require_run(lake, "run"), COUNTS)
    ada, ben = made.shares
    assert ada.cached_tokens is None and ada.cache_hits is None and ben.cached_tokens == 80
    assert made.cached_tokens is None and made.cache_hits is None


def test_what_the_processes_noted_is_summed_and_what_they_do_not_know_stays_so(lake: Lake) -> None:
    plan(lake, "run", {"p1": 0})
    decoded(lake, "run", "p1")
    for number, known in enumerate(("http://a/v1", "http://b/v1")):
        usage = {
            "askers": {"ada": {"requests": 2, "seconds_busy": 1.5}},
            "servers": {
                "http://both/v1": {
                    "prompt_tokens": 100, "generation_tokens": 10,
                    "cache_queries": 80, "cache_hits": 60,
                },
                known: None,
            },
        }  # fmt: skip
        content = Usage.model_validate(usage).model_dump_json().encode()
        lake.store.write(f"{usage_folder('run')}{number}.json", content)
    made = summarise(lake, require_run(lake, "run"), COUNTS)
    assert (made.shares[0].requests, made.shares[0].seconds_busy) == (4, 3.0)
    a, b, both = made.servers
    assert a.prompt_tokens is None and b.cache_hits is None
    assert (both.prompt_tokens, both.cached_tokens, both.cache_hits) == (200, 120, 0.75)


def test_a_run_says_who_was_missing(lake: Lake) -> None:
    plan(lake, "run", {"p1": 0, "p2": 0})
    decoded(lake, "run", "p1")
    decoded(lake, "run", "p2")
    made = summarise(lake, require_run(lake, "run"), COUNTS)
    assert made.missing == {"cyd": 1}
