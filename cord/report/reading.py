"""What a report asks of the lake: each question a stream, so that a run may be larger than memory.

A problem's trajectories may be an earlier run's (`cord.lake.runs.run_tables`): `made_by` is the
run whose rows count. `place` is the order in which the caller wants problems back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cord.lake.runs.run import check_run_id
from cord.lake.tables.query import SORTED_WORK, WORK, query, stream
from cord.lake.tables.rows import Row
from cord.plan import verdict_keys
from cord.recipe import Recipe

if TYPE_CHECKING:
    from cord.lake import Lake

LINE_NOTE = 240
"""Characters of a reason that a line shows."""
CONTENT = 4_000
"""Characters of a quarantined row that are shown."""
_ROW_BYTES = 70
"""What a proposal takes beside its text."""


def judgements(lake: Lake, run_id: str, recipe: Recipe) -> pa.Table:
    """(key, judgement): under which name the run's verdicts on a problem stand."""
    planned = query(
        lake,
        f"select distinct key, domain from problems where run_id = '{check_run_id(run_id)}'",
        limits=WORK,
    )
    name = verdict_keys(recipe)
    named = [
        name(key, domain)
        for key, domain in zip(*(planned[n].to_pylist() for n in ("key", "domain")), strict=True)
    ]
    return pa.Table.from_pydict({"key": planned["key"], "judgement": pa.array(named, pa.string())})


def _made(run_id: str) -> str:
    """WITH entries: the plan, and which run's trajectories count."""
    return f"""
        planned as (
            select * from problems where run_id = '{check_run_id(run_id)}'
        ), made as (
            select t.key, t.problem_id, min(t.run_id) as made_by
            from trajectories t semi join planned p on p.key = t.key and p.problem_id = t.problem_id
            group by all
        )"""


def line_rows(lake: Lake, run_id: str, judged: pa.Table, question_characters: int) -> Iterator[Row]:
    """A row for every problem of the plan, by id, and for every source row that was set aside
    before it could become one."""
    sql = f"""
        with {_made(run_id)}, best as (
            select t.* exclude (text), strlen(t.text) as path_bytes, m.made_by
            from trajectories t join made m
            on t.key = m.key and t.problem_id = m.problem_id and t.run_id = m.made_by
            where t.rank = 0
        ), sizes as (
            select s.key, s.problem_id, sum(strlen(s.text) + {_ROW_BYTES}) as tree_bytes
            from steps s join made m
            on s.key = m.key and s.problem_id = m.problem_id and s.run_id = m.made_by
            group by all
        ), said as (
            select key, arg_min(outcome, run_id) as outcome, arg_min(reason, run_id) as reason
            from verdicts v semi join judged j on v.key = j.judgement
            where v.rank = 0 group by key
        ), aside as (
            select problem_id, min(stage) as stage, min(reason) as reason
            from quarantine where run_id = '{run_id}' and problem_id <> '' group by problem_id
        ), left_out as (
            select problem_id, min(reason) as reason
            from dropped where run_id = '{run_id}' and rank = 0 group by problem_id
        ), lines as (
            select p.problem_id, left(p.question, {question_characters}) as question,
                left(p.answer, 80) as answer, p.key, j.judgement, b.made_by, b.finished, b.score,
                b.start_score, b.steps, b.tokens, b.proposed_tokens, b.teachers, said.outcome,
                a.stage, left(coalesce(a.reason, l.reason, said.reason), {LINE_NOTE}) as note,
                l.reason is not null as dropped,
                coalesce(b.path_bytes, 0) as path_bytes, coalesce(z.tree_bytes, 0) as tree_bytes
            from planned p join judged j on j.key = p.key
            left join best b on b.key = p.key and b.problem_id = p.problem_id
            left join sizes z on z.key = p.key and z.problem_id = p.problem_id
            left join said on said.key = j.judgement
            left join aside a on a.problem_id = p.problem_id
            left join left_out l on l.problem_id = p.problem_id
        ), unread as (
            select coalesce(nullif(problem_id, ''), source) as problem_id,
                left(content, {question_characters}) as question, '' as answer, null as key,
                null as judgement, null as made_by, null as finished, null as score,
                null as start_score, null as steps, null as tokens, null as proposed_tokens,
                null as teachers, null as outcome, stage, left(reason, {LINE_NOTE}) as note,
                false as dropped, 0 as path_bytes, 0 as tree_bytes
            from quarantine q anti join planned p on p.problem_id = q.problem_id
            where q.run_id = '{run_id}'
        )
        select * from lines union all select * from unread order by problem_id
    """
    yield from _rows(lake, sql, judged=judged)


def heads(lake: Lake, run_id: str, wanted: pa.Table) -> Iterator[Row]:
    """Of each problem of `wanted` (place, key, judgement, problem_id, made_by), by place: what is
    to be told of it but its proposals."""
    sql = f"""
        with said as (
            select key, rank, arg_min(outcome, run_id) as outcome,
                arg_min(method, run_id) as method, arg_min(reason, run_id) as reason
            from verdicts v semi join wanted w on v.key = w.judgement group by key, rank
        ), ways as (
            select w.place, list({{
                'rank': t.rank, 'finished': t.finished, 'score': t.score, 'start': t.start_score,
                'steps': t.steps, 'tokens': t.tokens, 'answer': t.answer,
                'proposed': t.proposed_tokens, 'missing': t.missing, 'teachers': t.teachers,
                'scores': t.scores, 'text': case when t.rank = 0 then t.text end,
                'outcome': v.outcome, 'method': v.method, 'reason': v.reason
            }} order by t.rank) as ways
            from wanted w join trajectories t
            on t.key = w.key and t.problem_id = w.problem_id and t.run_id = w.made_by
            left join said v on v.key = w.judgement and v.rank = t.rank group by w.place
        ), drops as (
            select w.place, list({{
                'rank': d.rank, 'stage': d.stage, 'reason': d.reason,
                'matched': left(d.matched, 1000)
            }} order by d.rank, d.reason) as drops
            from wanted w join dropped d
            on d.problem_id = w.problem_id and d.run_id = '{check_run_id(run_id)}' group by w.place
        ), asides as (
            select w.place, list({{
                'stage': q.stage, 'reason': q.reason, 'content': left(q.content, {CONTENT})
            }} order by q.stage, q.reason) as asides
            from wanted w join quarantine q
            on q.problem_id = w.problem_id and q.run_id = '{run_id}' group by w.place
        )
        select w.place, p.problem_id, p.question, p.answer, p.alternatives, p.source, p.domain,
            w.made_by, ways.ways, drops.drops, asides.asides
        from wanted w join problems p
        on p.run_id = '{run_id}' and p.key = w.key and p.problem_id = w.problem_id
        left join ways using (place) left join drops using (place) left join asides using (place)
        order by w.place
    """
    yield from _rows(lake, sql, wanted=wanted)


_COLUMNS = (
    "s.round, s.beam, s.place as within, s.teacher, s.authors, s.text, s.tokens, s.score, s.gain, "
    "s.kept, s.finished, s.complete, s.seconds"
)
_JOINED = "t.key = w.key and t.problem_id = w.problem_id and t.run_id = w.made_by"


def proposals(lake: Lake, wanted: pa.Table) -> Iterator[Row]:
    """Every row of `steps` of the problems in `wanted`, by place, round and place in its round."""
    sql = f"""
        select w.place, {_COLUMNS} from wanted w
        join (select * from steps semi join wanted using (key)) s
        on s.key = w.key and s.problem_id = w.problem_id and s.run_id = w.made_by
        order by w.place, s.round, s.place
    """
    yield from _rows(lake, sql, wanted=wanted)


def winning_proposals(lake: Lake, wanted: pa.Table) -> Iterator[Row]:
    """Of these only kept ones with a score on the best trajectory: its steps, and little else."""
    sql = f"""
        with on_path as (
            select w.place, unnest(t.scores) as score from wanted w
            join (select * exclude (text) from trajectories where rank = 0) t on {_JOINED}
        ), once as (select distinct * from on_path)
        select w.place, {_COLUMNS} from wanted w
        join (select * from steps semi join wanted using (key)) s
        on s.key = w.key and s.problem_id = w.problem_id and s.run_id = w.made_by
        join once o on o.place = w.place and o.score = s.score
        where s.kept order by w.place, s.round, s.place
    """
    yield from _rows(lake, sql, wanted=wanted)


def best_paths(lake: Lake, run_id: str) -> Iterator[Row]:
    """(teachers, scores, start_score, steps) of every best trajectory, in no order."""
    sql = f"""
        with {_made(run_id)}
        select t.teachers, t.scores, t.start_score, t.steps, t.score
        from trajectories t join made m
        on t.key = m.key and t.problem_id = m.problem_id and t.run_id = m.made_by
        where t.rank = 0 and t.steps > 0
    """
    yield from _rows(lake, sql)


def authors(lake: Lake, run_id: str, recipe: Recipe) -> list[str]:
    """Everybody who wrote a proposal: the recipe's teachers first, in its order."""
    sql = f"""
        with {_made(run_id)}
        select distinct unnest(list_append(authors, teacher)) as author
        from (select key, problem_id, run_id, authors, teacher from steps) s join made m
        on s.key = m.key and s.problem_id = m.problem_id and s.run_id = m.made_by order by author
    """
    found = [str(row["author"]) for row in _rows(lake, sql)]
    return list(dict.fromkeys([*(teacher.name for teacher in recipe.teachers), *found]))


def wanted_table(rows: Sequence[tuple[int, Any]]) -> pa.Table:
    """The table of (place, problem), for the questions above; a problem is a `Line`."""
    return pa.Table.from_pydict(
        {
            "place": pa.array([place for place, _ in rows], pa.int64()),
            **{
                name: pa.array([getattr(line, name) for _, line in rows], pa.string())
                for name in ("key", "judgement", "problem_id", "made_by")
            },
        }
    )


def _rows(lake: Lake, sql: str, **beside: pa.Table) -> Iterator[Row]:
    with stream(lake, sql, limits=SORTED_WORK, beside=beside) as batches:
        for batch in batches:
            for start in range(0, batch.num_rows, 1024):
                yield from batch.slice(start, 1024).to_pylist()
