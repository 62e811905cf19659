"""The contract on what comes out of decoding: the last beam of every problem, right or wrong."""

from __future__ import annotations

import pyarrow as pa

from data_contracts import measures
from data_contracts.bounds import QualityBounds, softened
from data_contracts.expectations import Expectation, between, every, given
from data_contracts.gate import gate
from data_contracts.gathering import Source, gather
from data_contracts.quality import percent
from data_contracts.records import labels
from data_contracts.result import ContractResult

_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("problem_id", pa.string()),
    ("key", pa.string()),
    ("rank", pa.int32()),
    ("finished", pa.bool_()),
    ("score", pa.float64()),
    ("start_score", pa.float64()),
    ("steps", pa.int32()),
    ("tokens", pa.int32()),
    ("answer", pa.string()),  # null where not finished
    ("teachers", pa.list_(pa.string())),
    ("scores", pa.list_(pa.float64())),  # null where an older cord decoded it
]
TRAJECTORY_SCHEMA = pa.schema(_COLUMNS)
"""Narrow columns: what is to be said of texts is said of records, which are what is left."""


def trajectory_expectations(bounds: QualityBounds) -> tuple[Expectation, ...]:
    """The contract at a glance."""
    gap = "this is a fault in cord, not in the data: please report it with the run's id"
    meta = "a probability outside (0, 1] comes from a faulty meta-prover: run `cord check`"
    return (
        given("problem_id", "every trajectory names its problem", gap),
        given("key", "every trajectory names by its key what made it", gap),
        given("rank", "every trajectory has its place in the last beam", gap),
        between("rank_in_range", "rank", "ranks count from 0", gap, least=0),
        between(
            "problem_rank_unique",
            "rank",
            "a problem has one trajectory for each rank",
            gap,
            measure="times_ranked",
            most=1,
        ),
        given("finished", "every trajectory says whether it is finished", gap),
        every(
            "answer_where_finished",
            "answer",
            "every finished trajectory states an answer",
            gap,
        ),
        given("score", "every trajectory has a score that is a finite number", meta),
        between(
            "score_in_range",
            "score",
            "every score is above 0 and at most 1",
            meta,
            least=0,
            above=True,
            most=1,
        ),
        given("start_score", "every trajectory has the score of its empty prefix", meta),
        between(
            "start_score_in_range",
            "start_score",
            "every score of an empty prefix is above 0 and at most 1",
            meta,
            least=0,
            above=True,
            most=1,
        ),
        given("steps", "every trajectory counts its steps", gap),
        between("steps_in_range", "steps", "no count of steps is negative", gap, least=0),
        given("tokens", "every trajectory counts its tokens", gap),
        between("tokens_counted", "tokens", "no count of tokens is negative", gap, least=0),
        given("teachers", "every trajectory lists its teachers", gap),
        every("teachers_named", "teachers", "no teacher's name is missing or blank", gap),
        between(
            "teacher_for_each_step",
            "teachers",
            "a trajectory lists as many teachers as it has steps",
            gap,
            measure="teachers_beyond_steps",
            least=0,
            most=0,
        ),
        between(
            "score_for_each_step",
            "scores",
            "a trajectory has as many scores as steps",
            gap,
            measure="scores_beyond_steps",
            least=0,
            most=0,
        ),
        every("scores_end_in_score", "scores", "the last step's score is the trajectory's", gap),
        every(
            "enough_finished",
            "finished",
            f"of all but {percent(bounds.max_unfinished)} of the problems, the best trajectory is "
            "finished (contract.max_unfinished)",
            "raise search.max_steps, search.max_tokens or search.max_step_tokens",
            measure="best_finished",
            mostly=1 - bounds.max_unfinished,
            severity=bounds.severity("enough_finished"),
        ),
    )


def check_trajectories(
    source: Source, bounds: QualityBounds | None = None, warn: frozenset[str] = frozenset()
) -> ContractResult:
    """Hold the contract against a table of `TRAJECTORY_SCHEMA`, or a stream of its batches.

    Whatever the table holds, the outcome is a result, never an exception."""
    expectations = softened(trajectory_expectations(bounds or QualityBounds()), warn)
    found = gather(
        "trajectories", source, TRAJECTORY_SCHEMA, measures.of_trajectories, ["problem_id"]
    )
    if not found.measures:
        skipped = tuple(expectation.name for expectation in expectations)
        return ContractResult.of("trajectories", found.rows, found.columns, skipped)
    ids = found.named["problem_id"]
    found.measures["times_ranked"] = measures.times_ranked(ids, found.measures["rank"])
    checks = gate("trajectories", found.measures, expectations, labels(ids))
    return ContractResult.of("trajectories", found.rows, found.columns + checks)
