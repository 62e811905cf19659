"""Sum the run up: in the lake, on the dashboard, for the terminal."""

from __future__ import annotations

import json
from typing import Any

from prefect import task

from cord.lake import open_lake
from cord.lake.runs import State, now, require_run, save_run
from cord.summary import Summary, summarise
from tasks import artifacts
from tasks.board import BOARD
from tasks.policy import OPTIONS


@task(name="report", task_run_name="report {run_id}", **OPTIONS)
def report_run(
    lake_uri: str,
    run_id: str,
    counts: dict[str, int],
    state: State,
    release: str | None = None,
    message: str = "",
) -> dict[str, Any]:
    """Close the run's document, write `summary.json`, and return the summary."""
    BOARD.enter("report")
    lake = open_lake(lake_uri)
    document = require_run(lake, run_id)
    closed = document.model_copy(
        update={
            "state": state,
            "ended_at": now(),
            "release": release,
            "message": message,
            "records": counts["records"],
            "wrong": counts["wrong"],
            "quarantined": counts["quarantined"],
        }
    )
    save_run(lake, closed)
    summary = summarise(lake, run_id, counts, release)
    content = json.dumps(summary.to_json(), indent=2, ensure_ascii=False) + "\n"
    lake.store.write(f"runs/{run_id}/summary.json", content.encode())
    artifacts.page(run_id, "summary", _markdown(summary), f"Summary of {run_id}")
    return summary.to_json()


def _markdown(summary: Summary) -> str:
    lines = [
        f"# {summary.run_id}",
        "",
        "| problems | correct | records | wrong | quarantined | mean S | tokens |",
        "|---|---|---|---|---|---|---|",
        f"| {summary.problems} | {summary.correct} | {summary.records} | {summary.wrong} "
        f"| {summary.quarantined} | {_number(summary.mean_score)} | {summary.tokens_proposed} |",
        "",
        "| teacher | share of the kept steps | median gain |",
        "|---|---|---|",
        *(f"| {s.teacher} | {s.share:.1%} | {_number(s.median_gain)} |" for s in summary.shares),
    ]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
