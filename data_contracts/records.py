"""The contract on the records that would be published.

It is the last door of the factory: what passes becomes a release, and a release is never changed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from cord.signals.columns import SIGNALS
from data_contracts import measures
from data_contracts.bounds import RecordBounds, RunCounts, softened
from data_contracts.expectations import Expectation, between, every, given, rows
from data_contracts.gate import Measures, gate
from data_contracts.gathering import Source, gather
from data_contracts.quality import percent, quality_expectations
from data_contracts.result import ContractResult

RECORD_SCHEMA = pa.schema(
    [
        ("problem_id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("teachers", pa.list_(pa.string())),
        ("steps", pa.int32()),
        ("tokens", pa.int32()),
        ("score", pa.float64()),
        ("run_id", pa.string()),
        ("key", pa.string()),
        ("rank", pa.int32()),
        ("missing", pa.list_(pa.string())),  # teachers that could not be reached
        ("domain", pa.string()),  # null in older records, as the signals
        *((signal.name, signal.type) for signal in SIGNALS),
        ("outcome", pa.string()),  # the verdict; dropped at publication
    ]
)


def record_expectations(bounds: RecordBounds) -> tuple[Expectation, ...]:
    """The contract on each record, at a glance."""
    again = "see `cord query` on the trajectories named, and decode them again"
    gap = "this is a fault in cord, not in the data: please report it with the run's id"
    longest, largest = bounds.max_steps, bounds.max_tokens
    return (
        rows(
            "enough_records",
            f"the release has {bounds.min_records:,} records or more (contract.min_records)",
            least=bounds.min_records,
            remedy="add problems or better teachers, or lower contract.min_records",
        ),
        given("problem_id", "every record names its problem", gap),
        _unique(bounds),
        given("question", "every record has its question", gap),
        given("answer", "every record has its reference answer", gap),
        given("run_id", "every record names the run that made it", gap),
        given("key", "every record names by its key what made it", gap),
        given("rank", "every record has its place in the last beam", gap),
        between("rank_in_range", "rank", "ranks count from 0", gap, least=0),
        every(
            "verified_correct",
            "outcome",
            'every record was verified: its outcome is "correct"',
            "publish only what the verdicts call correct",
        ),
        # the numbers
        given("score", "every record has a score that is a finite number", again),
        between(
            "score_in_range",
            "score",
            "every score is above 0 and at most 1",
            "a probability outside (0, 1] comes from a faulty meta-prover: run `cord check`",
            least=0,
            above=True,
            most=1,
        ),
        given("steps", "every record counts its steps", gap),
        between(
            "steps_in_range",
            "steps",
            f"every record has 1 to {longest:,} steps (search.max_steps)",
            again,
            least=1,
            most=longest,
        ),
        given("tokens", "every record counts its tokens", gap),
        between(
            "tokens_in_range",
            "tokens",
            f"every record has 1 to {largest:,} sampled tokens",
            "raise contract.max_record_tokens, or lower search.max_tokens and decode again",
            least=1,
            most=largest,
        ),
        given("teachers", "every record lists its teachers", gap),
        every("teachers_named", "teachers", "no teacher's name is missing or blank", gap),
        given("missing", "every record says which teachers were missing, if any", gap),
        between(
            "teacher_for_each_step",
            "teachers",
            "a record lists as many teachers as it has steps",
            gap,
            measure="teachers_beyond_steps",
            least=0,
            most=0,
        ),
        # the conversation
        every(
            "user_then_assistant",
            "messages",
            "the messages are one of the user, then one of the assistant, both with content",
            gap,
        ),
        every("question_asked", "messages", "the user's message is the question, exactly", gap),
        every(
            "thinking_opens_message",
            "messages",
            "the assistant's message begins with `<think>` and a line break",
            again,
        ),
        between(
            "one_opening_tag",
            "messages",
            "the assistant's message has exactly one `<think>`",
            again,
            measure="opening_tags",
            least=1,
            most=1,
        ),
        between(
            "one_closing_tag",
            "messages",
            "the assistant's message has exactly one `</think>`",
            again,
            measure="closing_tags",
            least=1,
            most=1,
        ),
        every("thinking_tags_in_order", "messages", "no `<think>` comes after `</think>`", again),
        every(
            "thinking_not_empty", "messages", "`<think>` and `</think>` enclose some text", again
        ),
        every(
            "answer_behind_thinking",
            "messages",
            "there is text behind `</think>`: the stated answer",
            again,
        ),
    )


def run_expectations(bounds: RecordBounds) -> tuple[Expectation, ...]:
    """The contract on the run's counts, at a glance."""
    c = bounds.counts
    share = f"{c.correct:,} of {c.problems:,}"
    in_percent = f" ({percent(c.correct / c.problems)})" if c.problems > 0 else ""
    return (
        between(
            "every_problem_accounted_for",
            "counts",
            "problems = records + wrong + quarantined",
            "see `cord query` on problems, verdicts and quarantine: some problem is in none or two",
            measure="unaccounted",
            least=0,
            most=0,
            observed=f"{c.problems:,} problems; {c.records:,} records + {c.wrong:,} wrong + "
            f"{c.quarantined:,} quarantined = {c.records + c.wrong + c.quarantined:,}",
        ),
        between(
            "records_are_those_counted",
            "counts",
            "the records are of as many problems as were counted",
            "this is a fault in cord, not in the data: please report it with the run's id",
            measure="uncounted",
            least=0,
            most=0,
            observed=f"{c.records:,} counted",
        ),
        between(
            "enough_correct",
            "counts",
            f"at least {percent(bounds.min_correct)} of the problems read end correct "
            f"(contract.min_correct); here {share} do{in_percent}",
            "use better teachers or more search, or lower contract.min_correct",
            measure="correct_share",
            least=bounds.min_correct,
            most=1,
            observed=share + in_percent,
        ),
    )


def check_records(source: Source, bounds: RecordBounds) -> ContractResult:
    """Hold the contract against a table of `RECORD_SCHEMA`, or a stream of its batches.

    Whatever the table holds, the outcome is a result, never an exception. A stream is read to its
    end; of a million records some 600 MB stay in memory, whatever the length of their texts."""
    of_records = softened(
        (*record_expectations(bounds), *quality_expectations(bounds.quality)), bounds.warn
    )
    of_run = softened(run_expectations(bounds), bounds.warn)
    measure = partial(measures.of_records, languages=bounds.quality.languages)
    found = gather("records", source, RECORD_SCHEMA, measure, ["problem_id"])
    if not found.measures:
        skipped = tuple(expectation.name for expectation in (*of_records, *of_run))
        return ContractResult.of("records", found.rows, found.columns, skipped)
    ids = found.named["problem_id"]
    found.measures["times_used"] = measures.occurrences(ids)
    found.measures["times_ranked"] = measures.times_ranked(ids, found.measures["rank"])
    checks = (
        *found.columns,
        *gate("records", found.measures, of_records, labels(ids)),
        *gate("records.run", _run_measures(ids, bounds.counts), of_run),
    )
    return ContractResult.of("records", found.rows, checks)


def _unique(bounds: RecordBounds) -> Expectation:
    remedy = "this is a fault in cord, not in the data: please report it with the run's id"
    if bounds.unique_problem:
        sentence, measure = "a release has one record a problem", "times_used"
        return between("problem_unique", "problem_id", sentence, remedy, measure=measure, most=1)
    sentence, measure = "a release has one record for each rank of a problem", "times_ranked"
    return between("problem_rank_unique", "rank", sentence, remedy, measure=measure, most=1)


def _run_measures(problem_ids: Any, counts: RunCounts) -> Measures:
    """One row: the run."""
    problems = len(problem_ids.drop_null().unique())
    accounted = counts.records + counts.wrong + counts.quarantined
    # Of no problems no share is correct: 0 asks no more of them than the recipe does.
    share = counts.correct / counts.problems if counts.problems > 0 else 0.0
    return {
        "unaccounted": np.array([float(counts.problems - accounted)]),
        "uncounted": np.array([float(problems - counts.records)]),
        "correct_share": np.array([share]),
    }


def labels(problem_ids: Any) -> Callable[[int], str]:
    """Names a row: its problem, or its place."""

    def label(row: int) -> str:
        problem_id = problem_ids[row].as_py()
        return str(problem_id) if problem_id and problem_id.strip() else f"row {row + 1}"

    return label
