"""The contract on the problems that go in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from data_contracts.expectations import Expectation, between, given, rows
from data_contracts.gate import gate
from data_contracts.measures import problem_measures
from data_contracts.result import ContractResult
from data_contracts.schema import check_schema

PROBLEM_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("problem_id", "question", "answer", "source")]
)


@dataclass(frozen=True, slots=True)
class ProblemBounds:
    """What a problem set must keep to."""

    min_problems: int = 1
    max_question_characters: int = 100_000
    """A longer one is no question but a reading error: a whole file in one field, say."""


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


def check_problems(table: pa.Table, bounds: ProblemBounds | None = None) -> ContractResult:
    """Hold the contract against a table of `PROBLEM_SCHEMA`.

    Whatever the table holds, the outcome is a result, never an exception."""
    expectations = problem_expectations(bounds or ProblemBounds())
    checks = check_schema("problems", table, PROBLEM_SCHEMA)
    if not all(check.holds for check in checks):
        skipped = tuple(expectation.name for expectation in expectations)
        return ContractResult.of("problems", table.num_rows, checks, skipped)
    measures = problem_measures(table, PROBLEM_SCHEMA)
    checks += gate("problems", measures, expectations, _labels(table))
    return ContractResult.of("problems", table.num_rows, checks)


def _labels(table: pa.Table) -> Callable[[int], str]:
    """Names a row: `p7 (limo.jsonl:8)`, as far as it is known."""

    def label(row: int) -> str:
        problem_id, source = (table[name][row].as_py() for name in ("problem_id", "source"))
        if problem_id and problem_id.strip():
            return f"{problem_id} ({source})" if source else str(problem_id)
        return str(source) if source else f"row {row + 1}"

    return label
