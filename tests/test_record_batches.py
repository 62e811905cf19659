from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cord.lake.runs.candidates import ASIDE, CANDIDATES
from cord.record_batches import aside_batch, record_batch, standings, whole_problems
from cord.records import SetAside
from cord.signals.columns import SIGNALS

JUDGED = pa.schema(
    {
        **{f.name: f.type for f in CANDIDATES if f.name not in (*SIGNALS.names, "messages")},
        "reference": pa.string(),
        "text": pa.string(),
        "reason": pa.string(),
        "finished": pa.bool_(),
        "start_score": pa.float64(),
        "scores": pa.list_(pa.float64()),
    }
)


def row(problem_id: str, rank: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "problem_id": problem_id, "rank": rank, "question": f"What is {problem_id}?",
        "reference": "1", "answer": "1", "text": "### Step 1. x\n</think>\n\n1",
        "teachers": ["ada"], "steps": 1, "tokens": 5, "score": 0.5, "run_id": "r", "key": "k",
        "missing": [], "outcome": "correct", "reason": "equal", "finished": True,
        "start_score": 0.25, "scores": [0.5], **more,
    }  # fmt: skip


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=JUDGED)


def test_a_record_is_a_conversation_with_the_trajectory_unchanged() -> None:
    made = record_batch(batch(row("a"), row("b", text="### Step 1. y\n</think>\n\n2")), "math")
    assert made.schema == CANDIDATES
    assert made["messages"].to_pylist() == [
        [
            {"role": "user", "content": "What is a?"},
            {"role": "assistant", "content": "<think>\n### Step 1. x\n</think>\n\n1"},
        ],
        [
            {"role": "user", "content": "What is b?"},
            {"role": "assistant", "content": "<think>\n### Step 1. y\n</think>\n\n2"},
        ],
    ]


def test_a_record_has_its_problem_s_domain_or_the_recipe_s_and_its_signals() -> None:
    made = record_batch(batch(row("a"), row("b", domain="choice")), "math")
    assert made["domain"].to_pylist() == ["math", "choice"]
    assert made["start_score"].to_pylist() == [0.25, 0.25]
    assert made["thinking_form"].to_pylist() == ["tagged", "tagged"]


def test_what_is_set_aside_keeps_its_text() -> None:
    rows = batch(row("a", outcome="undecided", text="t" * 20_000))
    (standing,) = standings(rows)
    made = aside_batch(rows, [SetAside(standing, "verify", "undecided: too long")])
    assert made.schema == ASIDE
    (aside,) = made.to_pylist()
    assert aside["problem_id"] == "a" and aside["reason"] == "undecided: too long"
    assert aside["content"] == "t" * 10_000


@given(st.lists(st.integers(1, 4), max_size=8), st.data())
def test_batches_are_cut_between_problems(beams: list[int], data: st.DataObject) -> None:
    rows = [row(f"p{n}", rank) for n, beam in enumerate(beams) for rank in range(beam)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    given_ = [batch(*rows[a:b]) for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    whole = list(whole_problems(given_))
    names = [(r["problem_id"], r["rank"]) for one in whole for r in one.to_pylist()]
    assert names == [(r["problem_id"], r["rank"]) for r in rows]
    of_batches = [set(one["problem_id"].to_pylist()) for one in whole]
    assert sum(len(one) for one in of_batches) == len(beams)
