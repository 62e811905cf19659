"""From cord's types to rows of the lake's tables, and back. One function a table.

Rows are plain dictionaries in the column order of `cord.lake.tables.schemas`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cord.types import Cost, Decoding, Problem, Quarantined, Trajectory, Verdict

Row = dict[str, Any]
REUSED = -1
"""Shard number of a problem whose trajectories an earlier run has put into the lake."""


def problem_rows(
    run_id: str,
    problems: Iterable[Problem],
    keys: Mapping[str, str],
    shards: Mapping[str, int],
) -> list[Row]:
    """The run's plan: each problem with the key of its search and its shard (or `REUSED`)."""
    return [
        {
            "run_id": run_id,
            "problem_id": problem.id,
            "question": problem.question,
            "answer": problem.answer,
            "alternatives": list(problem.alternatives),
            "source": problem.source,
            "key": keys[problem.id],
            "shard": shards.get(problem.id, REUSED),
            "domain": problem.domain,
        }
        for problem in problems
    ]


def to_problem(row: Mapping[str, Any]) -> Problem:
    """A problem from its row."""
    return Problem(
        id=row["problem_id"],
        question=row["question"],
        answer=row["answer"],
        alternatives=tuple(row["alternatives"]),
        source=row["source"],
        domain=row["domain"],
    )


def step_rows(run_id: str, key: str, decoding: Decoding) -> list[Row]:
    """Every scored proposal of a problem's search, kept or not."""
    return [
        {
            "run_id": run_id,
            "problem_id": decoding.problem.id,
            "key": key,
            "round": round_.index,
            "beam": candidate.beam,
            "place": place,
            "teacher": candidate.step.teacher,
            "authors": list(candidate.step.authors),
            "text": candidate.step.text,
            "tokens": candidate.step.tokens,
            "score": candidate.step.score,
            "gain": candidate.step.gain,
            "kept": candidate.kept,
            "finished": candidate.finished,
            "complete": candidate.step.complete,
            "prompt_tokens": candidate.cost.prompt_tokens,
            "cached_tokens": candidate.cost.cached_tokens,
            "seconds": candidate.cost.seconds,
        }
        for round_ in decoding.rounds
        for place, candidate in enumerate(round_.candidates)
    ]


def trajectory_rows(
    run_id: str, key: str, decoding: Decoding, shard: int | None = None
) -> list[Row]:
    """The last beam of a problem's search, by rank."""
    return [
        {
            "run_id": run_id,
            "problem_id": decoding.problem.id,
            "key": key,
            "rank": rank,
            "finished": trajectory.finished,
            "score": trajectory.score,
            "start_score": trajectory.start_score,
            "steps": len(trajectory.steps),
            "tokens": trajectory.tokens,
            "text": trajectory.text,
            "answer": trajectory.answer,
            "teachers": [step.teacher for step in trajectory.steps],
            "proposed_tokens": decoding.proposed_tokens,
            "missing": list(decoding.missing),
            "scores": [step.score for step in trajectory.steps],
            "shard": shard,
        }
        for rank, trajectory in enumerate(decoding.trajectories)
    ]


def cost_rows(
    run_id: str,
    problem_id: str,
    key: str,
    costs: Mapping[str, Cost],
    best: Trajectory | None = None,
) -> list[Row]:
    """What each teacher's proposals for a problem cost; without `best` all of it was thrown away.

    A step that several teachers wrote is kept as its first author's: what the others paid for the
    same text was thrown away."""
    kept = dict.fromkeys(costs, 0)
    for step in best.steps if best is not None else ():
        kept[step.teacher] += step.tokens
    return [
        {
            "run_id": run_id,
            "problem_id": problem_id,
            "key": key,
            "teacher": teacher,
            "proposals": cost.proposals,
            "tokens": cost.tokens,
            "kept_tokens": kept[teacher],
            "thrown_away_tokens": cost.tokens - kept[teacher],
            "prompt_tokens": cost.prompt_tokens,
            "cached_tokens": cost.cached_tokens,
            "seconds": cost.seconds,
        }
        for teacher, cost in costs.items()
    ]


def verdict_row(run_id: str, key: str, trajectory: Mapping[str, Any], verdict: Verdict) -> Row:
    """The judgement of one trajectory; `key` is the judgement's, see `cord.plan.verdict_key`."""
    return {
        "run_id": run_id,
        "problem_id": trajectory["problem_id"],
        "key": key,
        "rank": trajectory["rank"],
        "outcome": verdict.outcome,
        "method": verdict.method,
        "reason": verdict.reason,
        "answer": trajectory["answer"],
    }


def quarantine_rows(run_id: str, quarantined: Sequence[Quarantined]) -> list[Row]:
    """What was set aside, with its reason."""
    return [
        {
            "run_id": run_id,
            "stage": q.stage,
            "problem_id": q.problem_id,
            "source": q.source,
            "reason": q.reason,
            "content": q.content,
        }
        for q in quarantined
    ]
