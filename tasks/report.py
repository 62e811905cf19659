"""Sum the run up: in the lake, on the dashboard, for the terminal."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import asdict
from typing import Any

from prefect import task

from cord.drawing import svg_of
from cord.lake import Lake, open_lake
from cord.lake.runs.run import State, now, require_run, save_run, state_in_words
from cord.summary import Summary, summarise
from tasks import artifacts
from tasks.board import BOARD, DASHBOARD_LOG
from tasks.policy import OPTIONS

BAR = "#3b6fb6"


@task(name="report", task_run_name="report {run_id}", **OPTIONS)
def report_run(
    lake_uri: str,
    run_id: str,
    counts: dict[str, int],
    state: State,
    release: str | None = None,
    message: str = "",
) -> dict[str, Any]:
    """Write `summary.json`, show it, then close the run's document; returns the summary.

    In this order: a run that dies in between is not closed, and a resume reports it again."""
    BOARD.enter("report")
    lake = open_lake(lake_uri)
    document = require_run(lake, run_id)
    said = state_in_words(state, counts["quarantined"])
    if said != state:
        message = f"{said}: {message}" if message else said
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
    summary = summarise(lake, closed, counts)
    told = {"state": state, "message": message, **summary.to_json()}
    content = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    lake.store.write(_summary_key(run_id), content.encode())
    artifacts.page(run_id, "summary", _markdown(summary, said), f"Summary of {run_id}")
    artifacts.table(run_id, "cost", _cost_table(summary), f"What {run_id} cost, by teacher")
    if summary.servers:
        servers = [asdict(server) for server in summary.servers]
        artifacts.table(run_id, "servers", servers, f"What its servers counted during {run_id}")
    save_run(lake, closed)
    return told


def stored_summary(lake: Lake, run_id: str) -> dict[str, Any]:
    """The summary that a finished or refused run has left in the lake; {} when there is none."""
    content = lake.store.read(_summary_key(run_id))
    return {} if content is None else dict(json.loads(content))


def _summary_key(run_id: str) -> str:
    return f"runs/{run_id}/summary.json"


def _markdown(summary: Summary, state: str) -> str:
    lines = [
        f"# {summary.run_id}: {state}",
        "",
        "| problems | correct | records | wrong | quarantined | mean S | tokens |",
        "|---|---|---|---|---|---|---|",
        f"| {summary.problems} | {summary.correct} | {summary.records} | {summary.wrong} "
        f"| {summary.quarantined} | {_number(summary.mean_score)} | {summary.tokens_proposed} |",
        "",
        _picture(summary),
        "",
        "| teacher | share of the kept steps | median gain |",
        "|---|---|---|",
        *(f"| {s.teacher} | {s.share:.1%} | {_number(s.median_gain)} |" for s in summary.shares),
        "",
        _cost(summary),
        "",
        f"`cord report {summary.run_id}` writes all of it, and every trajectory, as one page.",
    ]
    return "\n".join(lines) + "\n"


def _picture(summary: Summary) -> str:
    """The teachers' shares as an image within the page; nothing where none can be drawn."""
    shares = [
        {"teacher": s.teacher, "share": s.share, "says": f"{s.share:.1%}"} for s in summary.shares
    ]
    if not any(one["share"] for one in shares):
        return ""
    y = {"field": "teacher", "type": "nominal", "title": None, "sort": "-x"}
    x = {"field": "share", "type": "quantitative", "title": "share of the kept steps"}
    drawn = {
        "data": {"values": shares},
        "width": 400,
        "encoding": {"y": y, "x": {**x, "axis": {"format": "%"}}},
        "layer": [
            {"mark": {"type": "bar", "color": BAR}},
            {
                "mark": {"type": "text", "align": "left", "dx": 4},
                "encoding": {"text": {"field": "says"}},
            },
        ],
    }
    try:
        svg = svg_of(drawn)
    except Exception as error:  # a run is worth more than its picture
        DASHBOARD_LOG.warning("the teachers' shares are not drawn (%s)", type(error).__name__)
        return ""
    image = b64encode(svg.encode()).decode()
    return f"![Each teacher's share of the kept steps](data:image/svg+xml;base64,{image})"


def _cost(summary: Summary) -> str:
    cached, each = summary.cache_hits, summary.tokens_per_record
    return (
        f"Tokens: {summary.tokens_proposed:,} proposed, {summary.tokens_kept:,} kept, "
        f"{summary.tokens_thrown_away:,} thrown away; "
        + ("no record" if each is None else f"{each:,.0f} a record")
        + f". Prompts: {summary.prompt_tokens:,} tokens"
        + ("." if cached is None else f", {cached:.1%} of them from a prefix cache.")
    )


def _cost_table(summary: Summary) -> list[dict[str, object]]:
    """A row for each teacher, and one for all of them."""
    of_teachers: list[dict[str, object]] = [
        {
            "teacher": s.teacher,
            "proposals": s.proposals,
            "tokens proposed": s.tokens_proposed,
            "kept": s.tokens_kept,
            "thrown away": s.tokens_thrown_away,
            "prompt tokens": s.prompt_tokens,
            "cache hits": _percent(s.cache_hits),
            "seconds busy": _number(s.seconds_busy, 1),
            "missing in problems": summary.missing.get(s.teacher, 0),
        }
        for s in summary.shares
    ]
    of_all: dict[str, object] = {
        "teacher": "all",
        "proposals": sum(s.proposals for s in summary.shares),
        "tokens proposed": summary.tokens_proposed,
        "kept": summary.tokens_kept,
        "thrown away": summary.tokens_thrown_away,
        "prompt tokens": summary.prompt_tokens,
        "cache hits": _percent(summary.cache_hits),
    }
    busy = _number(summary.meta_prover.seconds_busy, 1)
    scoring: dict[str, object] = {"teacher": summary.meta_prover.role, "seconds busy": busy}
    return [*of_teachers, of_all, scoring]


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
