"""The columns come first, and nothing else is looked at while they are wrong."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from data_contracts.problems import PROBLEM_SCHEMA, check_problems
from data_contracts.result import ContractResult
from data_contracts.schema import same_type

GOOD = {"problem_id": ["p"], "question": ["q"], "answer": ["a"], "source": ["s"]}


def only_failure(result: ContractResult) -> tuple[str, tuple[str, ...]]:
    (check,) = result.failures
    return check.expectation, check.examples


def test_a_missing_column_is_named_and_the_rest_is_skipped_and_said_so() -> None:
    result = check_problems(pa.table({k: v for k, v in GOOD.items() if k != "answer"}))
    assert only_failure(result) == ("columns_present", ("answer",))
    assert "answer_given" in result.skipped and not result.holds
    assert "6 further expectations were not looked at" in result.explain()


def test_a_column_that_is_there_twice_is_named() -> None:
    names = [*GOOD, "answer"]
    twice = pa.table([pa.array(["x"])] * len(names), names=names)
    assert only_failure(check_problems(twice)) == ("columns_present", ("answer",))


def test_a_column_beyond_the_agreed_ones_is_named() -> None:
    result = check_problems(pa.table(GOOD | {"email": ["x@y"]}))
    assert only_failure(result) == ("columns_foreseen", ("email",))


def test_a_wrong_type_is_named_with_both_types() -> None:
    result = check_problems(pa.table(GOOD | {"answer": [4]}))
    assert only_failure(result) == ("columns_typed", ("answer (is int64, agreed was string)",))


def test_a_column_without_any_value_has_no_type_and_fails() -> None:
    result = check_problems(pa.table(GOOD | {"answer": [None]}))
    assert only_failure(result) == ("columns_typed", ("answer (is null, agreed was string)",))


def test_bytes_that_are_no_text_are_refused_before_anything_reads_them() -> None:
    offsets, torn = pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")
    text = pa.Array.from_buffers(pa.string(), 1, [None, offsets, torn])
    (check,) = check_problems(pa.table(GOOD | {"question": text})).failures
    assert check.expectation == "columns_readable"
    assert "question" in check.examples[0] and "UTF8" in check.examples[0]


@pytest.mark.parametrize("nothing", [pa.table({}), pa.Table.from_pylist([])])
def test_a_table_without_columns_fails(nothing: pa.Table) -> None:
    result = check_problems(nothing)
    assert only_failure(result) == ("columns_present", tuple(PROBLEM_SCHEMA.names))


MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        (pa.string(), pa.large_string(), True),
        (pa.string(), pa.string_view(), True),
        (pa.string(), pa.binary(), False),
        (pa.string(), pa.dictionary(pa.int32(), pa.string()), False),
        (pa.int32(), pa.int64(), False),
        (pa.float64(), pa.float32(), False),
        (pa.list_(pa.string()), pa.large_list(pa.large_string()), True),
        (pa.list_(pa.string()), pa.list_(pa.field("element", pa.string(), nullable=False)), True),
        (pa.list_(pa.string()), pa.list_(pa.int32()), False),
        (pa.list_(pa.string()), pa.string(), False),
        (MESSAGES, MESSAGES, True),
        (MESSAGES, pa.list_(pa.struct([("role", pa.string())])), False),
        (MESSAGES, pa.list_(pa.map_(pa.string(), pa.string())), False),
    ],
)
def test_a_type_is_the_same_in_any_layout(wanted: Any, found: Any, same: bool) -> None:
    assert same_type(wanted, found) is same
