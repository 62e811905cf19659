"""Rows that a run could have made, so that a lake can be filled without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from cord.lake import Lake
from cord.lake.tables.schemas import RECORDS, SCHEMAS

TABLES = ("steps", "costs", "quarantine", "trajectories", "verdicts")
_FILLINGS: dict[str, dict[str, Any]] = {
    "steps": {"round": 0, "beam": 0, "place": 0, "teacher": "ada", "authors": ["ada"], "tokens": 5},
    "costs": {"teacher": "ada", "proposals": 1, "tokens": 5},
    "quarantine": {"stage": "read", "reason": "torn", "content": "{"},
    "trajectories": {"finished": True, "score": 0.5, "steps": 1, "tokens": 5, "answer": "2"},
    "verdicts": {"outcome": "correct", "method": "exact", "reason": "2 = 2", "answer": "2"},
    "records": {"question": "1+1?", "answer": "2", "teachers": ["ada"], "missing": []},
}


def rows(table: str, run_id: str, problems: Sequence[str]) -> pa.Table:
    """One row of the table for each problem."""
    schema = RECORDS if table == "records" else SCHEMAS[table]
    made = [
        {
            "run_id": run_id,
            "problem_id": problem,
            "key": f"key-{problem}",
            "rank": 0,
            "text": f"### Step 1. {problem}",
            "messages": [{"role": "assistant", "content": f"{problem} of {run_id}"}],
            **_FILLINGS[table],
        }
        for problem in problems
    ]
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in made], schema=schema
    )


def append_all(lake: Lake, run_id: str, problems: Sequence[str]) -> None:
    """What a run of one shard appends to the tables."""
    for table in TABLES:
        lake.tables.append_once(table, rows(table, run_id, problems), f"{run_id}/{table}")
