"""Every expectation of the problems contract is broken once, by name, on a row that is named."""

from __future__ import annotations

import pyarrow as pa
import pytest

from data_contracts.problems import PROBLEM_SCHEMA, ProblemBounds, check_problems
from data_contracts.result import ContractResult


def problems(*rows: tuple[str | None, str | None, str | None, str | None]) -> pa.Table:
    names = PROBLEM_SCHEMA.names
    return pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in rows], schema=PROBLEM_SCHEMA
    )


GOOD = ("p1", "What is 1 + 1?", "2", "limo.jsonl:1")


def failed(result: ContractResult) -> dict[str, tuple[str, ...]]:
    return {check.expectation: check.examples for check in result.failures}


def test_good_problems_hold() -> None:
    result = check_problems(problems(GOOD, ("p2", "What is 1 + 1?", "2", None)))
    assert result.holds and result.rows == 2


@pytest.mark.parametrize(
    ("expectation", "row", "named"),
    [
        ("problem_id_given", (None, "q", "a", "limo.jsonl:2"), "limo.jsonl:2"),
        ("problem_id_given", (" ", "q", "a", None), "row 2"),
        ("question_given", ("p2", None, "a", "limo.jsonl:2"), "p2 (limo.jsonl:2)"),
        ("question_given", ("p2", "", "a", ""), "p2"),
        ("answer_given", ("p2", "q", None, "limo.jsonl:2"), "p2 (limo.jsonl:2)"),
        ("answer_given", ("p2", "q", "\t\n", "limo.jsonl:2"), "p2 (limo.jsonl:2)"),
    ],
)
def test_a_broken_row_fails_its_one_expectation_and_is_named(
    expectation: str, row: tuple[str | None, str | None, str | None, str | None], named: str
) -> None:
    assert failed(check_problems(problems(GOOD, row))) == {expectation: (named,)}


def test_every_row_of_a_shared_id_is_named_with_its_source() -> None:
    result = check_problems(problems(GOOD, ("p2", "q", "a", ""), ("p1", "q", "a", "limo.jsonl:9")))
    assert failed(result) == {"problem_id_unique": ("p1 (limo.jsonl:1)", "p1 (limo.jsonl:9)")}


def test_a_problem_set_without_problems_is_refused() -> None:
    assert failed(check_problems(PROBLEM_SCHEMA.empty_table())) == {"enough_problems": ()}


def test_an_overlong_question_is_a_warning_that_stops_nothing() -> None:
    result = check_problems(problems(("p1", "x" * 11, "a", "s")), ProblemBounds(1, 10))
    assert result.holds and not result.failures
    (warning,) = result.warnings
    assert (warning.expectation, warning.examples) == ("question_length", ("p1 (s)",))
    assert "no question is longer than 10 characters" in result.explain()


def test_a_table_of_nulls_fails_and_never_raises() -> None:
    result = check_problems(problems(*[(None, None, None, None)] * 3))
    assert set(failed(result)) == {"problem_id_given", "question_given", "answer_given"}
    assert failed(result)["problem_id_given"] == ("row 1", "row 2", "row 3")
