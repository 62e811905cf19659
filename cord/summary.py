"""What a run came to, and what it cost: the figures a person asks for first, read from the lake.

Everything is recomputed from the tables, so that the summary of a resumed or repeated run is that
of the whole run, not of what the last process did. Tokens are those of all its problems, also where
an earlier run has decoded them (`tokens_reused`); what was asked of models and servers is the
run's own, by all its processes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cord.lake.runs.run import RunDocument
from cord.lake.runs.run_tables import decoded_sql, spent_sql
from cord.lake.tables.query import query
from cord.recipe.roles import JUDGE, META_PROVER, REWARD_MODEL
from cord.usage import Usage, usage_of

if TYPE_CHECKING:
    from cord.lake import Lake
    from cord.lake.tables.rows import Row


@dataclass(frozen=True, slots=True)
class Share:
    """A teacher's part in the best trajectories, and what its proposals cost."""

    teacher: str
    share: float
    """Of their steps, 0 to 1."""
    steps: int
    median_gain: float | None
    """Median of log S_t - log S_(t-1) over its kept proposals; one step that makes the answer
    all but impossible would drown a mean."""
    proposals: int
    tokens_proposed: int
    """Sampled; those kept and those thrown away together."""
    tokens_kept: int
    """Of its steps on the best trajectories."""
    tokens_thrown_away: int
    prompt_tokens: int
    """Read in front of its proposals, out of a prefix cache or not."""
    cached_tokens: int | None
    """Of these, out of a prefix cache; None where its engine does not say."""
    cache_hits: float | None
    """`cached_tokens` as a share of `prompt_tokens`, 0 to 1."""
    request_seconds: float
    """Of all its requests together: many are at work at once."""
    requests: int | None
    """Asked of it by this run; None where that was not noted."""
    seconds_busy: float | None
    """In which at least one of them was at work."""


@dataclass(frozen=True, slots=True)
class MetaProver:
    """What the scoring took."""

    engine: str
    """Model, engine and way of scoring, as the run's document has it."""
    requests: int | None
    seconds_busy: float | None
    role: str = META_PROVER
    """Who scored: the criterion may ask a judge or a reward model in its place."""


@dataclass(frozen=True, slots=True)
class Server:
    """What a vLLM server counted while this run was decoding, whoever asked. None: not known."""

    server: str
    prompt_tokens: int | None
    generation_tokens: int | None
    cache_queries: int | None
    cached_tokens: int | None
    cache_hits: float | None
    """Share of the tokens looked for in its prefix cache that were there, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One run in a few figures."""

    run_id: str
    release: str | None
    problems: int
    correct: int
    """Problems whose best trajectory is verified correct."""
    records: int
    wrong: int
    quarantined: int
    below_path: int | None
    """Correct trajectories that `publish.path` kept out; None where a recipe has no such bound."""
    duplicates: int | None
    """Correct records left out because another one, or an earlier release, says the same; None of
    a run by an older cord."""
    contaminated: int | None
    """Correct records left out for what they share with an evaluation set."""
    mean_score: float | None
    """Mean S of the best finished trajectories."""
    finished: int
    shares: tuple[Share, ...]
    tokens_kept: int
    """Of the best trajectories."""
    tokens_thrown_away: int
    tokens_proposed: int
    """Sampled in all: kept and thrown away, problems that could not be decoded included."""
    tokens_reused: int
    """Of the proposed ones, those that earlier runs had sampled already."""
    tokens_per_record: float | None
    """Proposed ones, for each problem with a (correct) record."""
    prompt_tokens: int
    cached_tokens: int | None
    cache_hits: float | None
    missing: dict[str, int]
    """Teachers that could not be reached, each with the problems in whose search that was so."""
    meta_prover: MetaProver
    servers: tuple[Server, ...]
    seconds: float | None
    """From the start of its last process to its end."""
    decoding_seconds: float
    """In which its processes were decoding; what an earlier run has decoded took none."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def summarise(lake: Lake, run: RunDocument, counts: dict[str, int]) -> Summary:
    """Read a run's figures from the lake. `run` is its document as it is closed, `counts` are those
    of its deduplicate stage."""
    run_id = run.run_id
    usage = usage_of(lake, run_id)
    tables = f"with mine as ({decoded_sql(run_id)}), spent as ({spent_sql(run_id)}) "
    best = query(
        lake,
        tables + "select count(*) filter (finished) as finished, "
        "avg(score order by problem_id) filter (finished) as mean_score from mine where rank = 0",
    ).to_pylist()[0]
    total = query(lake, f"{tables} select {_COSTS} from spent").to_pylist()[0]
    away = query(
        lake,
        tables + "select teacher, count(*) as n "
        "from (select unnest(missing) as teacher from mine where rank = 0) "
        "group by teacher order by teacher",
    ).to_pylist()
    seconds = None
    if run.ended_at is not None:
        begun = run.started_at or run.created_at
        seconds = (run.ended_at - begun).total_seconds()
    scorer = next((role for role in (JUDGE, REWARD_MODEL) if role in run.engines), META_PROVER)
    scoring = usage.askers.get(scorer)
    return Summary(
        run_id=run_id,
        release=run.release,
        problems=counts["problems"],
        correct=counts["correct"],
        records=counts["records"],
        wrong=counts["wrong"],
        quarantined=counts["quarantined"],
        below_path=counts.get("below_path"),
        duplicates=counts.get("duplicates"),
        contaminated=counts.get("contaminated"),
        mean_score=best["mean_score"],
        finished=best["finished"],
        shares=_shares(lake, tables, usage),
        tokens_kept=int(total["kept"]),
        tokens_thrown_away=int(total["thrown_away"]),
        tokens_proposed=int(total["proposed"]),
        tokens_reused=int(total["reused"]),
        tokens_per_record=_ratio(total["proposed"], counts["records"]),
        prompt_tokens=int(total["prompt"]),
        cached_tokens=_whole(total["cached"]),
        cache_hits=_ratio(total["cached"], total["prompt"]),
        missing={row["teacher"]: int(row["n"]) for row in away},
        meta_prover=MetaProver(
            run.engines.get(scorer, ""),
            None if scoring is None else scoring.requests,
            None if scoring is None else scoring.seconds_busy,
            scorer,
        ),
        servers=_servers(usage),
        seconds=seconds,
        decoding_seconds=usage.seconds,
    )


_COSTS = """
    coalesce(sum(tokens), 0) as proposed, coalesce(sum(kept_tokens), 0) as kept,
    coalesce(sum(thrown_away_tokens), 0) as thrown_away,
    coalesce(sum(tokens) filter (earlier), 0) as reused,
    coalesce(sum(proposals), 0) as proposals, coalesce(sum(prompt_tokens), 0) as prompt,
    case when count(*) = count(cached_tokens) then sum(cached_tokens) end as cached,
    coalesce(sum(seconds order by problem_id, teacher), 0) as seconds
"""
"""What the rows of `spent` come to, for all or for each teacher."""


def _shares(lake: Lake, tables: str, usage: Usage) -> tuple[Share, ...]:
    rows = query(
        lake,
        tables + f", costs_of as (select teacher, {_COSTS} from spent group by teacher), "
        "authors as (select unnest(teachers) as teacher from mine where rank = 0), "
        "steps_of as (select teacher, count(*) as n from authors group by teacher), "
        "gains as ("
        "  select s.teacher, median(s.gain) as gain from steps s "
        "  where s.kept and exists (select 1 from mine m where m.key = s.key "
        "  and m.run_id = s.run_id) group by s.teacher"
        ") select c.*, coalesce(n.n, 0) as steps, g.gain, "
        "coalesce(n.n / sum(n.n) over (), 0) as share "
        "from costs_of c left join steps_of n using (teacher) left join gains g using (teacher) "
        "order by steps desc, teacher",
    ).to_pylist()
    return tuple(_share(row, usage) for row in rows)


def _share(row: Row, usage: Usage) -> Share:
    work = usage.askers.get(row["teacher"])
    return Share(
        teacher=row["teacher"],
        share=float(row["share"]),
        steps=int(row["steps"]),
        median_gain=row["gain"],
        proposals=int(row["proposals"]),
        tokens_proposed=int(row["proposed"]),
        tokens_kept=int(row["kept"]),
        tokens_thrown_away=int(row["thrown_away"]),
        prompt_tokens=int(row["prompt"]),
        cached_tokens=_whole(row["cached"]),
        cache_hits=_ratio(row["cached"], row["prompt"]),
        request_seconds=float(row["seconds"]),
        requests=None if work is None else work.requests,
        seconds_busy=None if work is None else work.seconds_busy,
    )


def _servers(usage: Usage) -> tuple[Server, ...]:
    return tuple(
        Server(name, None, None, None, None, None)
        if counted is None
        else Server(
            name,
            counted.prompt_tokens,
            counted.generation_tokens,
            counted.cache_queries,
            counted.cache_hits,
            _ratio(counted.cache_hits, counted.cache_queries),
        )
        for name, counted in sorted(usage.servers.items())
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _ratio(part: Any, whole: Any) -> float | None:
    """Not known where `part` is not, or where there is nothing to compare with."""
    return float(part) / float(whole) if part is not None and whole else None
