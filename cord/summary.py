"""What a run came to: the figures a person asks for first, read from the lake.

Everything is recomputed from the tables, so that the summary of a resumed or repeated run is that
of the whole run, not of what the last process did.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cord.lake.query import query
from cord.lake.run_tables import decoded_sql
from cord.lake.runs import require_run

if TYPE_CHECKING:
    from cord.lake import Lake


@dataclass(frozen=True, slots=True)
class Share:
    """A teacher's part in the best trajectories."""

    teacher: str
    share: float
    """Of their steps, 0 to 1."""
    steps: int
    median_gain: float | None
    """Median of log S_t - log S_(t-1) over its kept proposals; one step that makes the answer
    all but impossible would drown a mean."""


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
    mean_score: float | None
    """Mean S of the best finished trajectories."""
    finished: int
    shares: tuple[Share, ...]
    tokens_kept: int
    """Of the best trajectories."""
    tokens_proposed: int
    """Sampled in all, thrown-away proposals included."""
    seconds: float | None
    """From the start of its last process to its end."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def summarise(lake: Lake, run_id: str, counts: dict[str, int], release: str | None) -> Summary:
    """Read a run's figures from the lake; `counts` are those of its deduplicate stage."""
    document = require_run(lake, run_id)
    decoded = f"with mine as ({decoded_sql(run_id)}) "
    best = query(
        lake,
        decoded + "select count(*) filter (finished) as finished, "
        "avg(score order by problem_id) filter (finished) as mean_score, "
        "coalesce(sum(tokens), 0) as tokens, coalesce(sum(proposed_tokens), 0) as proposed "
        "from mine where rank = 0",
    ).to_pylist()[0]
    seconds = None
    if document.ended_at is not None:
        begun = document.started_at or document.created_at
        seconds = (document.ended_at - begun).total_seconds()
    return Summary(
        run_id=run_id,
        release=release,
        problems=counts["problems"],
        correct=counts["correct"],
        records=counts["records"],
        wrong=counts["wrong"],
        quarantined=counts["quarantined"],
        mean_score=best["mean_score"],
        finished=best["finished"],
        shares=_shares(lake, decoded),
        tokens_kept=int(best["tokens"]),
        tokens_proposed=int(best["proposed"]),
        seconds=seconds,
    )


def _shares(lake: Lake, decoded: str) -> tuple[Share, ...]:
    rows = query(
        lake,
        decoded + ", authors as ("
        "  select unnest(teachers) as teacher from mine where rank = 0"
        "), counts as (select teacher, count(*) as n from authors group by teacher), "
        "gains as ("
        "  select s.teacher, median(s.gain) as gain from steps s "
        "  where s.kept and exists (select 1 from mine m where m.key = s.key "
        "  and m.run_id = s.run_id) group by s.teacher"
        ") select c.teacher, c.n, c.n / sum(c.n) over () as share, g.gain "
        "from counts c left join gains g using (teacher) order by c.n desc, c.teacher",
    ).to_pylist()
    return tuple(Share(r["teacher"], float(r["share"]), int(r["n"]), r["gain"]) for r in rows)
