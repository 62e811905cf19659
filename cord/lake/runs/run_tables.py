"""What the stages of one run read: its plan, and trajectories and verdicts by key.

A problem's trajectories may have been made by an earlier run; they are found by the key of its
search. Should two runs have decoded the same key at once, the one with the smaller id counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from cord.lake.runs.run import check_run_id
from cord.lake.tables.query import SORTED_WORK, WORK, query, stream
from cord.lake.tables.rows import Row
from cord.records import Judged

if TYPE_CHECKING:
    from cord.lake import Lake

_BATCH_ROWS = 4_096
_GROUP_PROBLEMS = 1_024
"""Their trajectories, some 80 KB each at most, are sorted together."""


def decoded_sql(run_id: str, shard: int | None = None) -> str:
    """A SELECT of a run's trajectories (of one shard), with `question`, `reference`,
    `alternatives` and `domain` of their problems, and `planned_shard`: theirs in this run."""
    return _decoded_sql(run_id, "" if shard is None else f"and {_in([shard])}")


def _decoded_sql(run_id: str, of_plan: str, of_trajectories: str = "") -> str:
    # Which run's rows count is found from keys alone: the texts of a run may be gigabytes.
    return f"""
        with planned as (
            select key, problem_id, question, answer as reference, alternatives, domain,
                shard as planned_shard
            from problems where run_id = '{check_run_id(run_id)}' {of_plan}
        ), made as (
            select t.key, min(t.run_id) as run_id
            from trajectories t semi join planned using (key) group by t.key
        )
        select p.question, p.reference, p.alternatives, p.domain, p.planned_shard, t.*
        from planned p join made m on m.key = p.key
        join (select * from trajectories {of_trajectories}) t
        on t.key = p.key and t.problem_id = p.problem_id and t.run_id = m.run_id
    """


def spent_sql(run_id: str) -> str:
    """A SELECT of what the search of a run's problems cost, by problem and teacher: rows of
    `costs`, with `earlier`: paid by the run whose trajectories this one uses.

    Problems that could not be decoded are among them; what an earlier run spent on these in vain
    is its own."""
    return f"""
        select c.*, c.run_id <> p.run_id as earlier
        from problems p join costs c on c.key = p.key and c.problem_id = p.problem_id
        left join (
            select key, min(run_id) as run_id from trajectories group by key
        ) t on t.key = p.key
        where p.run_id = '{check_run_id(run_id)}' and c.run_id = coalesce(t.run_id, p.run_id)
    """


def planned_shards(lake: Lake, run_id: str) -> dict[int, int]:
    """Shard number to its number of problems; empty before the run is planned."""
    rows = query(
        lake,
        "select shard, count(*) as n from problems "
        f"where run_id = '{check_run_id(run_id)}' group by shard order by shard",
    ).to_pylist()
    return {row["shard"]: row["n"] for row in rows}


def in_groups(planned: Mapping[int, int]) -> Iterator[list[int]]:
    """Shards (with their numbers of problems) in order, as many together as one question to the
    lake should be about: each costs a look at every file of a table."""
    group: list[int] = []
    problems = 0
    for shard, count in planned.items():
        if group and problems + count > _GROUP_PROBLEMS:
            yield group
            group, problems = [], 0
        group.append(shard)
        problems += count
    if group:
        yield group


def problems_of(lake: Lake, run_id: str, shard: int) -> list[Row]:
    """The planned problems of one shard."""
    return problems_in(lake, run_id, [shard])[shard]


def problems_in(lake: Lake, run_id: str, shards: Collection[int]) -> dict[int, list[Row]]:
    """The planned problems of each of these shards, by their ids."""
    rows: list[Row] = query(
        lake,
        f"select * from problems where run_id = '{check_run_id(run_id)}' and {_in(shards)} "
        "order by shard, problem_id",
    ).to_pylist()
    found: dict[int, list[Row]] = {shard: [] for shard in shards}
    for row in rows:
        found[row["shard"]].append(row)
    return found


def set_aside(lake: Lake, run_id: str) -> int:
    """How many rows and problems this run has put into quarantine."""
    sql = f"select count(*) as n from quarantine where run_id = '{check_run_id(run_id)}'"
    return int(query(lake, sql)["n"][0].as_py())


def keys_decoded(lake: Lake, among: Collection[str]) -> set[str]:
    """Of these keys of searches, those whose trajectories are in the lake, whichever run made
    them."""
    wanted = pa.table({"key": pa.array(among, pa.string())})
    sql = "select distinct key from trajectories semi join wanted using (key)"
    found = query(lake, sql, limits=WORK, beside={"wanted": wanted})["key"].to_pylist()
    return {str(key) for key in found}


def asked_in(lake: Lake, run_id: str) -> pa.Table:
    """The problems of a run's plan as it asked them: problem_id, question, answers, domain."""
    return query(
        lake,
        "select problem_id, question, list_prepend(answer, alternatives) as answers, domain "
        f"from problems where run_id = '{check_run_id(run_id)}'",
        limits=WORK,
    )


@dataclass(frozen=True, slots=True)
class Made:
    """What the lake holds for the problems of a run, whichever run made it."""

    trajectories: int
    problems: int
    """That have costs: decoded, or tried in vain."""
    tokens: int
    """Sampled for these problems."""


def made_for(lake: Lake, run_id: str) -> Made:
    """Count trajectories and tokens of a run's problems."""
    row = query(
        lake,
        "with planned as ("
        f"select distinct key from problems where run_id = '{check_run_id(run_id)}') select "
        "(select count(*) from (select distinct key, rank from trajectories "
        "semi join planned using (key))) as trajectories, "
        "count(distinct key) as problems, coalesce(sum(tokens), 0)::bigint as tokens "
        "from costs semi join planned using (key)",
        limits=WORK,
    ).to_pylist()[0]
    return Made(**row)


def trajectories_of(lake: Lake, run_id: str, shard: int | None = None) -> list[Row]:
    """Rows of `decoded_sql`, by problem and rank: all at once, so for small runs only."""
    sql = f"select * from ({decoded_sql(run_id, shard)}) order by problem_id, rank"
    rows: list[Row] = query(lake, sql).to_pylist()
    return rows


def trajectory_batches(
    lake: Lake,
    run_id: str,
    shards: Collection[int],
    columns: Sequence[str] = ("*",),
    rows: int = 4096,
) -> Iterator[pa.RecordBatch]:
    """The same of these shards, so many at a time, in columns of `decoded_sql`: a shard's rows
    stand together."""
    made = _sql_of_shards(lake, run_id, shards)
    sql = f"select {', '.join(columns)} from ({made}) order by planned_shard, problem_id, rank"
    with stream(lake, sql, limits=SORTED_WORK) as batches:
        yield from _of_size(batches, rows)


def judged_batches(
    lake: Lake,
    run_id: str,
    shards: Collection[int],
    verdict_key: Callable[[str, str | None], str],
) -> Iterator[pa.RecordBatch]:
    """Rows of `decoded_sql` of these shards by shard, problem and rank, each with the `outcome` and
    `reason` of its verdict. `verdict_key` names the judgement of a (key, domain)."""
    planned = query(
        lake,
        "select key, domain from problems "
        f"where run_id = '{check_run_id(run_id)}' and {_in(shards)}",
    )
    named = [
        verdict_key(key, domain)
        for key, domain in zip(*(planned[n].to_pylist() for n in ("key", "domain")), strict=True)
    ]
    judgements = pa.Table.from_pydict(
        {"key": planned["key"], "judgement": pa.array(named, pa.string())}
    )
    sql = f"""
        with said as (
            select key, rank, arg_min(outcome, run_id) as outcome, arg_min(reason, run_id) as reason
            from verdicts v semi join judgements j on v.key = j.judgement group by key, rank
        )
        select d.*, said.outcome, said.reason
        from ({_sql_of_shards(lake, run_id, shards)}) d join judgements j on j.key = d.key
        left join said on said.key = j.judgement and said.rank = d.rank
        order by d.planned_shard, d.problem_id, d.rank
    """
    with stream(lake, sql, limits=SORTED_WORK, beside={"judgements": judgements}) as batches:
        yield from _of_size(batches, _BATCH_ROWS)


def _sql_of_shards(lake: Lake, run_id: str, shards: Collection[int]) -> str:
    """As `decoded_sql`; where all rows are this run's own, other shards' files stay closed."""
    own = f"where run_id = '{check_run_id(run_id)}' and {_in(shards)}"
    found = query(
        lake,
        f"with planned as (select key, shard from problems {own}) "
        "select count(*) as n, "
        f"count(*) filter (t.run_id = '{run_id}' and t.shard = planned.shard) as own "
        "from (select run_id, key, shard from trajectories) t join planned using (key)",
        limits=WORK,
    ).to_pylist()[0]
    all_own = found["n"] == found["own"]
    return _decoded_sql(run_id, f"and {_in(shards)}", own if all_own else "")


def _in(shards: Collection[int]) -> str:
    """A condition on `shard`; consecutive ones as a range, which rules out files."""
    numbers = sorted(map(int, shards))
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"shard between {numbers[0]} and {numbers[-1]}"
    return f"shard in ({', '.join(map(str, numbers))})"


def _of_size(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def any_verdicts(lake: Lake, run_id: str, shards: Collection[int]) -> bool:
    """Whether any run has judged a problem of the name of one in these shards."""
    sql = f"""
        select 1 from verdicts semi join (
            select problem_id from problems
            where run_id = '{check_run_id(run_id)}' and {_in(shards)}
        ) using (problem_id) limit 1
    """
    return query(lake, sql, limits=WORK).num_rows > 0


def verdicts_of(lake: Lake, keys: Collection[str]) -> dict[tuple[str, int], Row]:
    """Verdicts by (judgement key, rank), for the given judgement keys."""
    if not keys:
        return {}
    wanted = pa.table({"key": pa.array(sorted(keys), pa.string())})
    rows = query(
        lake,
        "select * from verdicts semi join wanted using (key) order by run_id",
        limits=WORK,
        beside={"wanted": wanted},
    ).to_pylist()
    found: dict[tuple[str, int], Row] = {}
    for row in rows:
        found.setdefault((row["key"], row["rank"]), row)
    return found


def judged(trajectory: Row, verdict: Row) -> Judged:
    """A trajectory's row and its verdict's as one."""
    return Judged(
        problem_id=trajectory["problem_id"],
        rank=trajectory["rank"],
        question=trajectory["question"],
        answer=trajectory["reference"],
        text=trajectory["text"],
        teachers=tuple(trajectory["teachers"]),
        steps=trajectory["steps"],
        tokens=trajectory["tokens"],
        score=trajectory["score"],
        run_id=trajectory["run_id"],
        key=trajectory["key"],
        finished=trajectory["finished"],
        outcome=verdict["outcome"],
        reason=verdict["reason"],
        missing=tuple(trajectory["missing"]),
        start_score=trajectory["start_score"],
        scores=None if trajectory["scores"] is None else tuple(trajectory["scores"]),
    )
