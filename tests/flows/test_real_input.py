"""Real problem sets through the whole pipeline, with a small model that can solve almost none.

What it cannot do must be said honestly: every problem accounted for, nothing published that was
not verified, the contract's exit code.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factory import Factory

import cord.miniature
from cord.lake import open_lake
from cord.lake.tables.query import query

pytestmark = pytest.mark.slow

META = Path(cord.miniature.__file__).parent / "models" / "meta"
DATA = Path(__file__).parents[2].parent / "shared" / "data"
"""Beside the checkout; the data are not ours to ship."""

COUNT = 32
SOURCES = {
    "gsm8k": {"path": str(DATA / "gsm8k_train.jsonl.gz"), "answer_rule": "gsm8k"},
    "math500": {"path": str(DATA / "math500.jsonl"), "question": "problem", "id": "unique_id"},
}
# Little of everything: a byte is a token to these models, and each proposal costs a whole reading.
SEARCH = {"width": 2, "max_steps": 3, "max_step_tokens": 24, "max_tokens": 64}


def recipe(name: str, url: str, **contract: float) -> dict[str, Any]:
    """The first problems of a set; three teachers and the meta-prover are one served model."""
    served = {"model": META.name, "url": url}
    warmth = {"cool": 0.5, "mild": 0.6, "warm": 0.7}
    return {
        "name": name,
        "problems": {**SOURCES[name], "limit": COUNT},
        "teachers": [{"name": n, "temperature": t, **served} for n, t in warmth.items()],
        "meta_prover": "mild",
        "search": SEARCH,
        "contract": contract,
    }


@pytest.mark.parametrize("name", SOURCES)
def test_real_problems_are_all_accounted_for(
    factory: Factory, name: str, vllm_server: Callable[[Path], str]
) -> None:
    if not Path(SOURCES[name]["path"]).is_file():
        pytest.skip(f"no {SOURCES[name]['path']}: the real problem sets are not on this machine")
    url = vllm_server(META)

    factory.write_recipe(**recipe(name, url, min_correct=0.5))
    refused = factory.run()
    assert refused.code == 3, refused.err
    assert "Traceback" not in refused.err
    assert "contract.min_correct" in refused.err and f"of {COUNT}" in refused.err
    honest(refused.json)
    assert refused.json["release"] is None
    assert factory.cord("releases", "--json").json == []
    accounted_for(factory, refused.json)

    factory.write_recipe(**recipe(name, url, min_correct=0, min_records=0))
    taken = factory.run()
    assert taken.code == 0, taken.err
    honest(taken.json)
    counts = ("problems", "correct", "records", "wrong", "quarantined", "mean_score", "finished")
    assert {c: taken.json[c] for c in counts} == {c: refused.json[c] for c in counts}
    published = [f"{name}@1"] if taken.json["records"] else []
    assert [r["release"] for r in factory.cord("releases", "--json").json] == published
    assert asked(factory, "select count(distinct run_id) as n from trajectories") == [{"n": 1}], (
        "what the refused run had decoded was decoded again"
    )


def asked(factory: Factory, sql: str) -> list[dict[str, Any]]:
    """As `cord query` does, without a process for each question."""
    return query(open_lake(factory.lake), sql).to_pylist()


def honest(summary: dict[str, Any]) -> None:
    """The figures agree with each other and invent nothing."""
    s = summary
    assert s["problems"] == COUNT == s["records"] + s["wrong"] + s["quarantined"]
    assert s["records"] <= s["correct"] <= s["finished"] <= COUNT
    assert (s["mean_score"] is None) == (s["finished"] == 0)
    assert s["mean_score"] is None or 0 < s["mean_score"] <= 1
    assert 0 < s["tokens_kept"] <= s["tokens_proposed"]
    assert sum(share["share"] for share in s["shares"]) == pytest.approx(1)


def accounted_for(factory: Factory, summary: dict[str, Any]) -> None:
    """The tables tell the same as the summary: each problem once, each verdict with its reason."""
    run_id = summary["run_id"]
    ranks = asked(factory, "select problem_id, rank, text from trajectories")
    best = {row["problem_id"] for row in ranks if row["rank"] == 0}
    aside = asked(factory, "select stage, problem_id, source, reason from quarantine")
    assert len(aside) == summary["quarantined"]
    assert all(row["reason"] and row["source"] + row["problem_id"] for row in aside)
    undecoded = [row for row in aside if row["stage"] in ("read", "problems", "decode")]
    assert len(best) + len(undecoded) == COUNT
    assert not best & {row["problem_id"] for row in undecoded}
    assert all(row["text"].startswith("### Step 1.") for row in ranks)
    verdicts = asked(factory, "select problem_id, rank, outcome, reason from verdicts")
    assert {(v["problem_id"], v["rank"]) for v in verdicts} == {
        (row["problem_id"], row["rank"]) for row in ranks
    }
    assert len(verdicts) == len(ranks) and all(v["reason"] for v in verdicts)
    (run,) = factory.cord("runs", "--json").json
    assert run["run_id"] == run_id and run["state"] == "refused"
    told = factory.cord("status", run_id)
    assert told.code == 0 and "contract.min_correct" in told.err
