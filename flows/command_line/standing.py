"""`cord runs`, `cord status`: how runs stand, from the lake alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cord.lake import open_lake
from flows.command_line.options import Json, LakeUri
from flows.command_line.terminal import print_json, print_table, say

if TYPE_CHECKING:
    from cord.lake.runs.lease import Lease
    from cord.lake.runs.progress import ShardProgress
    from cord.lake.runs.run import RunDocument

MANY_SHARDS = 40
"""Of more than so many, those that are done or wait are only counted."""


def add_to(app: typer.Typer) -> None:
    """Hang these commands onto the command line."""
    app.command()(runs)
    app.command()(status)


def runs(lake: LakeUri = "./lake", json: Json = False) -> None:
    """List the runs in the lake, newest first."""
    from cord.lake.runs.run import list_runs, state_in_words

    listed = list_runs(open_lake(lake))
    rows = [_run_row(document) for document in listed]
    if json:
        print_json(rows)
        return
    for row in rows:
        row["state"] = state_in_words(row["state"], row["quarantined"])
        del row["message"]
    if rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    else:
        say("no runs yet; start one with `cord run RECIPE`")
    for document in listed:
        if document.state == "damaged":
            say(document.message)


def _run_row(document: RunDocument) -> dict[str, Any]:
    from cord.lake.runs.run import LONG_AGO

    return {
        "run_id": document.run_id,
        "state": document.state,
        "created_at": None if document.created_at == LONG_AGO else document.created_at,
        "problems": document.problems,
        "records": document.records,
        "wrong": document.wrong,
        "quarantined": document.quarantined,
        "release": document.release,
        "message": document.message,
    }


def status(
    run: Annotated[str, typer.Argument(help="The run, as `cord runs` names it.")],
    lake: LakeUri = "./lake",
    json: Json = False,
) -> None:
    """Tell how a run stands, shard by shard, from the lake alone."""
    from cord.lake.runs.lease import Leases
    from cord.lake.runs.progress import run_progress
    from cord.lake.runs.run import observed_state, require_run

    opened = open_lake(lake)
    document = require_run(opened, run)
    lease = Leases(opened.store, run).living() if document.state == "running" else None
    stands = document.model_copy(update={"state": observed_state(opened, document)})
    shards = run_progress(opened, document, is_at_work=lease is not None)
    if json:
        print_json(_status(stands, lease, shards))
        return
    print_table(("run", run), _told(stands, lease))
    _show_shards(shards)
    if stands.message:
        say(stands.message)
    if stands.state in ("failed", "interrupted"):
        say(f"`cord resume {run}` does what is missing")


def _promise(document: RunDocument) -> str:
    match document.reproducible:
        case None:
            return ""
        case True:
            return "the same bytes"
        case False:
            return "decided rounds are kept; the models do not repeat themselves"


def _status(
    document: RunDocument, lease: Lease | None, shards: list[ShardProgress]
) -> dict[str, Any]:
    return {
        **_run_row(document),
        "started_at": document.started_at,
        "ended_at": document.ended_at,
        "engines": document.engines,
        "reproducible": document.reproducible,
        "promise": _promise(document),
        "lease": None if lease is None else lease.model_dump(mode="json"),
        "shards": [
            {
                "shard": s.shard.name,
                "state": s.state,
                "problems": s.shard.problems,
                "decoded": s.shard.decoded,
                "verified": s.shard.verified,
                "begun": s.begun,
                "rounds": s.rounds,
                "failure": None if s.failure is None else s.failure.model_dump(mode="json"),
            }
            for s in shards
        ],
    }


def _told(document: RunDocument, lease: Lease | None) -> list[tuple[str, str]]:
    from cord.lake.runs.lease import moment
    from cord.lake.runs.run import state_in_words

    rows = [("state", state_in_words(document.state, document.quarantined))]
    if lease is not None:
        rows.append(("held by", f"{lease.holder.name}, until {moment(lease.expires_at)} or longer"))
    rows.append(("created", moment(document.created_at)))
    if document.started_at is not None and document.started_at > document.created_at:
        rows.append(("taken up again", moment(document.started_at)))
    if document.ended_at is not None:
        rows.append(("ended", moment(document.ended_at)))
    if promise := _promise(document):
        rows.append(("promise", promise))
    if document.problems is not None:
        rows.append(("problems", str(document.problems)))
    if document.records is not None:
        parts = f"{document.wrong} wrong, {document.quarantined} quarantined"
        rows.append(("records", f"{document.records} ({parts})"))
    rows.append(("release", document.release or "none"))
    return rows


def _show_shards(shards: list[ShardProgress]) -> None:
    if not shards:
        say("its problems have not been cut into shards yet")
        return
    rows = [
        (s.shard.name, s.state, s.shard.problems, _how_far(s))
        for s in shards
        if len(shards) <= MANY_SHARDS or s.state in ("in progress", "failed")
    ]
    if rows:
        print_table(("shard", "state", "problems", "how far"), rows)
    states = Counter[str](s.state for s in shards)
    named = ("done", "in progress", "waiting", "failed")
    counted = ", ".join(f"{states[name]} {name}" for name in named if states[name])
    say(f"{len(shards)} shards: {counted}")


def _how_far(shard: ShardProgress) -> str:
    if shard.state == "done":
        return ""
    parts = []
    if shard.shard.decoded:
        parts.append("decoded, not yet verified")
    elif shard.begun:
        parts.append(f"{shard.begun} problems under way, {shard.rounds} rounds decided")
    if shard.failure is not None:
        from cord.lake.runs.lease import moment

        parts.append(f"{shard.failure.sentence} ({moment(shard.failure.at)})")
    return "; ".join(parts)
