"""Rows: what is there twice, whose run nobody knows, what is lacking of a completed run.

Everything is counted by DuckDB, in pieces of a bounded number of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from cord.inspection.census import Census
from cord.inspection.finding import Finding, some
from cord.lake import Lake
from cord.lake.runs.progress import decode_app, verify_app
from cord.lake.tables.query import QueryLimits, query
from cord.lake.tables.rows import REUSED, Row
from cord.lake.tables.schemas import SCHEMAS, TABLES

_PIECE = 2_000_000
"""Rows that are compared with each other at once."""
_LIMITS = QueryLimits(seconds=3600.0, memory="2GB")

ONCE: Mapping[str, tuple[str, ...]] = {
    "problems": ("run_id", "problem_id"),
    "steps": ("run_id", "problem_id", "round", "place"),
    "trajectories": ("run_id", "problem_id", "rank"),
    "costs": ("run_id", "problem_id", "teacher"),
    "verdicts": ("run_id", "key", "problem_id", "rank"),
    # Two torn lines have neither problem nor key; their place tells them apart.
    "quarantine": tuple(SCHEMAS["quarantine"].names),
    "dropped": tuple(SCHEMAS["dropped"].names),
}
"""What names a row of each table: no two have the same."""


def count_rows(lake: Lake) -> list[Row]:
    """(name, run_id, shard, n): how many rows each table has of each run, problems by shard."""
    return _ask(
        lake,
        "select 'problems' as name, run_id, shard, count(*) as n from problems "
        "group by run_id, shard union all "
        + " union all ".join(
            f"select '{table}', run_id, null, count(*) from {table} group by run_id"
            for table in TABLES
            if table != "problems"
        ),
    )


def planned_shards(counted: Sequence[Row]) -> dict[str, set[int]]:
    """Every run with the shards that its problems were cut into."""
    found: dict[str, set[int]] = {}
    for row in counted:
        if row["name"] == "problems":
            found.setdefault(row["run_id"], set()).add(row["shard"])
    return found


def inspect_rows(census: Census, counted: Sequence[Row]) -> Iterator[Finding]:
    """Findings in the tables' rows, of which there are as many as `counted`. Raises `LakeError`
    where they cannot be read."""
    completed = {run_id for run_id, run in census.runs.items() if run.state == "completed"}
    yield from _of_unknown_runs(census, counted)
    yield from _twice(census.lake, sum(row["n"] for row in counted))
    yield from _lacking(census, completed, planned_shards(counted))
    aside = {row["run_id"]: row["n"] for row in counted if row["name"] == "quarantine"}
    yield from _miscounted(census, completed, aside)


def _of_unknown_runs(census: Census, counted: Sequence[Row]) -> Iterator[Finding]:
    unknown: dict[str, Counter[str]] = {}
    for row in counted:
        if row["run_id"] not in census.known:
            unknown.setdefault(str(row["run_id"]), Counter())[row["name"]] += row["n"]
    for run_id, rows in sorted(unknown.items()):
        aside = f"runs/{run_id}/run.json.damaged"
        yield Finding(
            "rows of an unknown run",
            f"runs/{run_id}",
            f"there are rows of it ({_named(rows)}), and it has no document"
            + (f"; its damaged one is {aside}" if aside in census.entries else ""),
            "restore the document from a copy, or run the recipe again: the document is made anew, "
            "and what is decoded is kept",
            run_id=run_id,
        )


def _named(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in rows.items())


def _twice(lake: Lake, rows: int) -> Iterator[Finding]:
    pieces = 1 + rows // _PIECE
    found: dict[str, list[Row]] = {}
    for piece in range(pieces):
        where = f"hash(run_id, problem_id) % {pieces} = {piece}"
        for row in _ask(lake, " union all ".join(_twice_sql(t, where) for t in TABLES)):
            found.setdefault(row["name"], []).append(row)
    for table, repeated in sorted(found.items()):
        yield Finding(
            "rows that are there twice",
            f"tables/{table}",
            f"{sum(row['n'] for row in repeated)} rows of "
            f"{some(sorted({row['run_id'] for row in repeated}))} have another one beside them "
            f"with the same {', '.join(ONCE[table][:4])}, as of {repeated[0]['example']}",
            "no run does this: somebody else has written into the table; releases that verify are "
            "whole, and `select distinct` reads the table rightly where the rows are the same",
        )


def _twice_sql(table: str, where: str) -> str:
    names = ", ".join(ONCE[table])
    return f"""
        select '{table}' as name, run_id, count(*) as n, min(problem_id) as example from (
            select {names} from {table} where {where} group by {names} having count(*) > 1
        ) group by run_id
    """


def _lacking(
    census: Census, completed: set[str], planned: Mapping[str, set[int]]
) -> Iterator[Finding]:
    """A completed run has decided every problem and judged every trajectory."""
    for run_id in sorted(completed):
        shards = planned.get(run_id, set())
        for what, table, app_id, wanted in (
            ("not decoded", "trajectories", decode_app, shards - {REUSED}),
            ("not verified", "verdicts", verify_app, shards),
        ):
            lacking = [s for s in sorted(wanted) if not census.committed(table, app_id(run_id, s))]
            if lacking:
                yield _incomplete(run_id, f"shards {some([str(s) for s in lacking])} are {what}")
    for row in _ask(census.lake, _LACKING):
        if row["run_id"] in completed:
            yield _incomplete(row["run_id"], f"{row['n']} {row['what']}, as of {row['example']}")


_LACKING = """
    select 'problems are neither decoded nor quarantined' as what,
        p.run_id, count(*) as n, min(p.problem_id) as example
    from problems p
    anti join trajectories t on t.key = p.key and t.problem_id = p.problem_id
    anti join quarantine q on q.run_id = p.run_id and q.problem_id = p.problem_id
    group by p.run_id
    union all
    select 'problems are decoded, and in quarantine because they could not be',
        q.run_id, count(*), min(q.problem_id)
    from quarantine q
    semi join trajectories t on t.run_id = q.run_id and t.problem_id = q.problem_id
    where q.stage = 'decode' group by q.run_id
    union all
    select 'trajectories have no verdict', t.run_id, count(*), min(t.problem_id)
    from trajectories t
    anti join verdicts v on v.problem_id = t.problem_id and v.rank = t.rank
        and v.answer is not distinct from t.answer
    group by t.run_id
"""


def _miscounted(census: Census, completed: set[str], aside: Mapping[str, int]) -> Iterator[Finding]:
    """problems = records + wrong + quarantined, and `aside`, what is in quarantine, is as many."""
    for run_id in sorted(completed):
        run = census.runs[run_id]
        if run.records is None or run.wrong is None or run.quarantined is None:
            continue
        decided = run.records + run.wrong + run.quarantined
        if decided != run.problems:
            yield _incomplete(
                run_id, f"of {run.problems} problems {decided} are records, wrong or quarantined"
            )
        if aside.get(run_id, 0) != run.quarantined:
            yield _incomplete(
                run_id,
                f"{run.quarantined} were quarantined, and {aside.get(run_id, 0)} are in the table",
            )


def _incomplete(run_id: str, sentence: str) -> Finding:
    return Finding(
        "incomplete run",
        f"runs/{run_id}",
        f"it is marked completed, and {sentence}",
        "restore the lake from a copy, or run the recipe under another --run-id: what is there is "
        "kept, what is lacking is made again",
        run_id=run_id,
    )


def _ask(lake: Lake, sql: str) -> list[Row]:
    rows: list[Row] = query(lake, sql, limits=_LIMITS).to_pylist()
    return rows
