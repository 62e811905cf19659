"""The contract on the problems that go in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from data_contracts import measures
from data_contracts.bounds import softened
from data_contracts.expectations import Expectation, between, given, rows
from data_contracts.gate import gate
from data_contracts.gathering import Source, gather
from data_contracts.result import ContractResult

PROBLEM_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("problem_id", "question", "answer", "source")]
)


@dataclass(frozen=True, slots=True)
class ProblemBounds:
    """What a problem set must keep to."""

    min_problems: int = 1
    max_question_characters: int = 100_000
    """A longer one is no question but a reading error: a whole file in one field, say."""
    warn: frozenset[str] = frozenset()
    """Names of expectations that only warn."""


def problem_expectations(bounds: ProblemBounds) -> tuple[Expectation, ...]:
    """The contract at a glance."""
    longest = bounds.max_question_characters
    return (
        rows(
            "enough_problems",
            f"the source gives {bounds.min_problems:,} or more problems",
            least=bounds.min_problems,
            remedy="look at the problem source and its columns, and at `cord query` on quarantine",
        ),
        given(
            "problem_id",
            "every problem has an id that is not blank",
            "give each row an id, or leave the recipe's problems.id out",
        ),
        between(
            "problem_id_unique",
            "problem_id",
            "no two problems have the same id",
            "give each problem an id of its own",
            measure="times_used",
            most=1,
        ),
        given(
            "question",
            "every problem has a question that is not blank",
            "set these rows aside when they are read, or name another column in problems.question",
        ),
        given(
            "answer",
            "every problem has an answer that is not blank",
            "set these rows aside when they are read, or look at problems.answer and "
            "problems.answer_rule",
        ),
        between(
            "question_length",
            "question",
            f"no question is longer than {longest:,} characters",
            "see whether the source put a whole file into one field",
            most=longest,
            severity="warn",  # it will be set aside when it does not fit the model's context
        ),
    )


def check_problems(source: Source, bounds: ProblemBounds | None = None) -> ContractResult:
    """Hold the contract against a table of `PROBLEM_SCHEMA`, or a stream of its batches.

    Whatever the table holds, the outcome is a result, never an exception."""
    bounds = bounds or ProblemBounds()
    expectations = softened(problem_expectations(bounds), bounds.warn)
    keep = ["problem_id", "source"]
    found = gather("problems", source, PROBLEM_SCHEMA, measures.of_problems, keep)
    if not found.measures:
        skipped = tuple(expectation.name for expectation in expectations)
        return ContractResult.of("problems", found.rows, found.columns, skipped)
    found.measures["times_used"] = measures.occurrences(found.named["problem_id"])
    checks = gate("problems", found.measures, expectations, _labels(**found.named))
    return ContractResult.of("problems", found.rows, found.columns + checks)


def _labels(problem_id: Any, source: Any) -> Callable[[int], str]:
    """Names a row: `p7 (limo.jsonl:8)`, as far as it is known."""

    def label(row: int) -> str:
        id, place = problem_id[row].as_py(), source[row].as_py()
        if id and id.strip():
            return f"{id} ({place})" if place else str(id)
        return str(place) if place else f"row {row + 1}"

    return label
