"""Every expectation of the records contract is broken once, by name, on a row that is named."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from typing import Any, get_args

import pyarrow as pa
import pytest

from cord.recipe.contract import ContractSettings, DriftBounds, Softened
from cord.signals.columns import SIGNALS
from data_contracts.bounds import QualityBounds, RecordBounds, RunCounts
from data_contracts.drift import drift_expectations
from data_contracts.problems import ProblemBounds, problem_expectations
from data_contracts.quality import quality_expectations
from data_contracts.records import (
    RECORD_SCHEMA,
    check_records,
    record_expectations,
    run_expectations,
)
from data_contracts.result import ContractResult
from data_contracts.trajectories import trajectory_expectations

GOOD = (
    "<think>\n### Step 1. Add.\n1 + 1 = 2\n### Step 2. State it.\nIt is 2.\n</think>\n\n"
    "The final answer is \\boxed{2}."
)


def record(number: int, **changes: Any) -> dict[str, Any]:
    question = changes.get("question", f"What is 1 + 1, asked for the {number}th time?")
    return {
        "problem_id": f"p{number}",
        "question": question,
        "answer": "2",
        "messages": conversation(question, GOOD),
        "teachers": ["add", "say"],
        "steps": 2,
        "tokens": 30,
        "score": 0.75,
        "run_id": "run-1",
        "key": "a1b2",
        "rank": 0,
        "missing": [],
        "domain": "math",
        "language": "en",
        "question_language": "en",
        "thinking_form": "tagged",
        "repetition": 0.0,
        "truncated": False,
        "leaks_answer": False,
        "outcome": "correct",
    } | changes


def conversation(question: str | None, response: str | None) -> list[dict[str, str | None]]:
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": response},
    ]


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=RECORD_SCHEMA)


STRICT = QualityBounds(
    languages=("en",),
    max_outliers=0,
    max_leaks=0,
    stops=frozenset(e.name for e in quality_expectations(QualityBounds(("en",)))),
)


def bounds(records: int, **changes: Any) -> RecordBounds:
    counts = RunCounts(problems=records, records=records, wrong=0, quarantined=0, correct=records)
    strict = RecordBounds(max_steps=4, max_tokens=100, counts=counts, quality=STRICT)
    return replace(strict, **changes)


def expectations() -> list[str]:
    """Names of all that is said of each record."""
    return [e.name for e in (*record_expectations(bounds(1)), *quality_expectations(STRICT))]


def failed(result: ContractResult) -> dict[str, tuple[str, ...]]:
    """The examples of each failed expectation."""
    return {check.expectation: check.examples for check in result.failures}


def test_good_records_hold_every_expectation() -> None:
    result = check_records(table(*map(record, range(3))), bounds(3))
    assert result.holds and not result.failures and not result.skipped
    of_columns = 4
    of_run = len(run_expectations(bounds(3)))
    assert len(result.checks) == of_columns + len(expectations()) + of_run


def with_response(response: str | None) -> dict[str, Any]:
    return record(1, messages=conversation(record(1)["question"], response))


def test_the_table_of_broken_rows_leaves_no_expectation_out() -> None:
    elsewhere = {"enough_records", "problem_id_given", "problem_unique"}
    names = set(expectations())
    covered = {case[0] for case in (*BROKEN, *BROKEN_IN_TWO_WAYS)}
    assert covered == names - elsewhere


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("question_given", record(1, question=None, messages=conversation("Which?", GOOD))),
    ("question_given", record(1, question=" \n")),
    ("answer_given", record(1, answer="")),
    ("run_id_given", record(1, run_id=None)),
    ("key_given", record(1, key=None)),
    ("rank_given", record(1, rank=None)),
    ("rank_in_range", record(1, rank=-1)),
    ("verified_correct", record(1, outcome="wrong")),
    ("verified_correct", record(1, outcome="undecided")),
    ("verified_correct", record(1, outcome=None)),
    ("score_given", record(1, score=None)),
    ("score_given", record(1, score=math.nan)),
    ("score_given", record(1, score=math.inf)),
    ("score_given", record(1, score=-math.inf)),
    ("score_in_range", record(1, score=0.0)),
    ("score_in_range", record(1, score=1.0000001)),
    ("score_in_range", record(1, score=-0.2)),
    ("steps_given", record(1, steps=None)),
    ("steps_in_range", record(1, steps=0, teachers=[])),
    ("steps_in_range", record(1, steps=5, teachers=["add"] * 5)),
    ("tokens_given", record(1, tokens=None)),
    ("tokens_in_range", record(1, tokens=0)),
    ("tokens_in_range", record(1, tokens=101)),
    ("teachers_given", record(1, teachers=None)),
    ("missing_given", record(1, missing=None)),
    ("teachers_named", record(1, teachers=["add", None])),
    ("teachers_named", record(1, teachers=[" ", "add"])),
    ("teacher_for_each_step", record(1, teachers=["add"])),
    ("user_then_assistant", record(1, messages=None)),
    ("user_then_assistant", record(1, messages=[])),
    ("user_then_assistant", record(1, messages=[None, None])),
    ("user_then_assistant", record(1, messages=conversation("q", GOOD)[::-1])),
    ("user_then_assistant", record(1, messages=[*conversation("q", GOOD), None])),
    ("user_then_assistant", record(1, messages=conversation(None, GOOD))),
    ("user_then_assistant", with_response(None)),
    ("question_asked", record(1, messages=conversation("Another question?", GOOD))),
    ("thinking_opens_message", with_response(" " + GOOD)),
    ("thinking_opens_message", with_response(GOOD.replace("<think>\n", "<think>"))),
    ("one_opening_tag", with_response(GOOD.replace("1 + 1", "<think> 1 + 1"))),
    ("one_closing_tag", with_response("<think>\n1 + 1 = 2")),
    ("one_closing_tag", with_response(GOOD.replace("1 + 1", "</think> 1 + 1"))),
    ("thinking_not_empty", with_response("<think>\n \u00a0\n</think>\n\nIt is 2.")),
    ("answer_behind_thinking", with_response("<think>\n1 + 1 = 2\n</think>\n\u2003\n")),
    ("repetition_in_range", record(1, repetition=0.31)),
    ("language_expected", record(1, language="fr", question_language="fr")),
    ("language_of_question", record(1, question_language="fr")),
    ("answer_not_leaked", record(1, leaks_answer=True)),
    ("not_truncated", record(1, truncated=True)),
]
BROKEN_IN_TWO_WAYS: list[tuple[str, str, dict[str, Any]]] = [
    ("thinking_tags_in_order", "one_opening_tag", with_response(GOOD + "<think>")),
    ("thinking_tags_in_order", "thinking_opens_message", with_response("a</think>b<think>\nc")),
]


CASES = [({name}, row) for name, row in BROKEN] + [
    ({a, b}, row) for a, b, row in BROKEN_IN_TWO_WAYS
]


@cache
def checked(part: int) -> ContractResult:
    """Every third case in one table, since opening the gate takes time. A check names five rows:
    no expectation has more in one part."""
    rows = [row | {"problem_id": f"case {n}"} for n, (_, row) in enumerate(CASES) if n % 3 == part]
    return check_records(table(record(0), *rows), bounds(len(rows) + 1))


@pytest.mark.parametrize("case", range(len(CASES)), ids=[", ".join(sorted(c[0])) for c in CASES])
def test_a_broken_row_fails_just_its_own_expectations_and_is_named(case: int) -> None:
    result, name = checked(case % 3), f"case {case}"
    assert {check.expectation for check in result.failures if name in check.examples} == CASES[
        case
    ][0]
    assert name in result.explain()


def test_an_unbroken_row_among_broken_ones_is_not_named() -> None:
    for part in range(3):
        failures = checked(part).failures
        assert not any("p0" in check.examples for check in failures)
        assert all(check.failed_rows == len(check.examples) for check in failures)


@pytest.mark.parametrize("missing", [None, "", " "])
def test_a_record_without_a_problem_is_named_by_its_row(missing: str | None) -> None:
    result = check_records(table(record(0), record(1, problem_id=missing)), bounds(2))
    assert failed(result)["problem_id_given"] == ("row 2",)


def test_a_problem_with_two_records_is_named() -> None:
    rows = [record(0), record(1), record(1, rank=1)]
    counts = RunCounts(problems=2, records=2, wrong=0, quarantined=0, correct=2)
    once = check_records(table(*rows), bounds(2, counts=counts))
    assert failed(once) == {"problem_unique": ("p1",)}
    by_rank = check_records(table(*rows), bounds(2, counts=counts, unique_problem=False))
    assert by_rank.holds


def test_a_rank_with_two_records_is_named_where_a_problem_may_have_several() -> None:
    rows = [record(0), record(1), record(1)]
    counts = RunCounts(problems=2, records=2, wrong=0, quarantined=0, correct=2)
    result = check_records(table(*rows), bounds(2, counts=counts, unique_problem=False))
    assert failed(result) == {"problem_rank_unique": ("p1",)}


def test_too_few_records_are_refused_with_the_bound() -> None:
    result = check_records(table(record(0)), bounds(1, min_records=2))
    assert failed(result) == {"enough_records": ()}
    assert "2 records or more" in result.failures[0].sentence
    assert result.failures[0].observed == "1"


def test_at_most_five_rows_are_named_and_all_are_counted() -> None:
    rows = [record(number, score=2.0) for number in range(12)]
    check = check_records(table(*rows), bounds(12)).failures[0]
    assert check.examples == ("p0", "p1", "p2", "p3", "p4")
    assert check.failed_rows == 12


def test_a_problem_that_is_in_no_count_stops_the_release() -> None:
    counts = RunCounts(problems=5, records=1, wrong=2, quarantined=1, correct=1)
    check = check_records(table(record(0)), bounds(1, counts=counts)).failures[0]
    assert check.expectation == "every_problem_accounted_for"
    assert "5 problems; 1 records + 2 wrong + 1 quarantined = 4" in check.observed


def test_records_of_other_problems_than_were_counted_stop_the_release() -> None:
    result = check_records(table(record(0)), bounds(2))
    assert failed(result) == {"records_are_those_counted": ()}


def test_too_few_correct_answers_stop_the_release_and_both_numbers_are_said() -> None:
    counts = RunCounts(problems=64, records=1, wrong=60, quarantined=3, correct=1)
    check = check_records(table(record(0)), bounds(1, counts=counts, min_correct=0.7)).failures[0]
    assert check.expectation == "enough_correct"
    assert "at least 70 %" in check.sentence and "1 of 64" in check.sentence
    assert "1.562 %" in check.observed


@pytest.mark.parametrize("percent", range(101))
def test_a_share_that_is_exactly_the_bound_is_enough(percent: int) -> None:
    """The bound as YAML reads it, and the share as we divide it, are the same float."""
    counts = RunCounts(problems=100, records=1, wrong=99, quarantined=0, correct=percent)
    bound = float(f"0.{percent:02}") if percent < 100 else 1.0
    (enough,) = [
        e
        for e in run_expectations(bounds(1, counts=counts, min_correct=bound))
        if e.name == "enough_correct"
    ]
    assert counts.correct / counts.problems == enough.least


def test_a_run_of_no_problems_says_so_and_publishes_nothing() -> None:
    counts = RunCounts(problems=0, records=0, wrong=0, quarantined=0, correct=0)
    result = check_records(RECORD_SCHEMA.empty_table(), bounds(0, counts=counts, min_correct=0.5))
    assert set(failed(result)) == {"enough_records", "enough_correct"}


def test_an_empty_release_may_be_agreed_on() -> None:
    counts = RunCounts(problems=3, records=0, wrong=3, quarantined=0, correct=0)
    result = check_records(RECORD_SCHEMA.empty_table(), bounds(0, counts=counts, min_records=0))
    assert result.holds


def test_a_table_of_nulls_fails_and_never_raises() -> None:
    nulls = pa.table(
        {field.name: pa.nulls(3, field.type) for field in RECORD_SCHEMA}, schema=RECORD_SCHEMA
    )
    result = check_records(nulls, bounds(3))
    later = RECORD_SCHEMA.names[RECORD_SCHEMA.names.index("domain") :]
    given = {f"{n}_given" for n in RECORD_SCHEMA.names if n not in ("messages", *later)}
    assert given < set(failed(result))
    assert failed(result)["verified_correct"] == ("row 1", "row 2", "row 3")


def test_other_layouts_of_the_same_types_are_read_alike() -> None:
    """Polars and DuckDB give large strings and string views."""
    rows = table(record(0), record(1, score=2.0), record(2))
    message = pa.struct([("role", pa.large_string()), ("content", pa.string_view())])
    other = (
        rows.set_column(3, "messages", rows["messages"].cast(pa.large_list(message)))
        .set_column(0, "problem_id", rows["problem_id"].cast(pa.string_view()))
        .set_column(1, "question", rows["question"].cast(pa.large_string()))
    )
    assert check_records(other, bounds(3)) == check_records(rows, bounds(3))


def test_a_table_in_many_pieces_is_read_like_one() -> None:
    rows = [record(number) for number in range(7)]
    rows[5] = record(5, teachers=["only one"])
    pieces = pa.concat_tables([table(row) for row in rows] + [RECORD_SCHEMA.empty_table()])
    for source in (pieces, pieces.to_reader()):
        assert failed(check_records(source, bounds(7))) == {"teacher_for_each_step": ("p5",)}
    assert check_records(pieces.slice(0, 5), bounds(5)).holds


def test_a_torn_batch_of_a_stream_is_found_wherever_it_comes() -> None:
    offsets, torn = pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")
    text = pa.Array.from_buffers(pa.string(), 1, [None, offsets, torn])
    good = table(record(0)).to_batches()[0]
    bad = good.set_column(1, "question", text)
    stream = pa.RecordBatchReader.from_batches(good.schema, iter([good, bad, good]))
    result = check_records(stream, bounds(3))
    assert set(failed(result)) == {"columns_readable"} and result.rows == 3 and result.skipped


def test_quality_only_warns_until_the_recipe_bounds_it_and_never_where_it_is_told_to_warn() -> None:
    rows = [record(number, repetition=0.9, language="fr") for number in range(3)]
    names = {"repetition_in_range", "language_of_question"}
    counted = bounds(3, quality=QualityBounds())
    assert {c.expectation for c in check_records(table(*rows), counted).warnings} == names
    given = QualityBounds.of(ContractSettings(max_repetition=0.5))
    stopped = check_records(table(*rows), replace(counted, quality=given))
    assert set(failed(stopped)) == {"repetition_in_range"}
    told = replace(counted, quality=given, warn=frozenset({"repetition_in_range"}))
    softened = check_records(table(*rows), told)
    assert softened.holds and {c.expectation for c in softened.warnings} == names


def test_a_few_outliers_are_named_and_stop_nothing() -> None:
    rows = [record(number, repetition=0.9 if number == 7 else 0.0) for number in range(20)]
    few = bounds(20, quality=replace(STRICT, max_outliers=0.05))
    result = check_records(table(*rows), few)
    (check,) = [c for c in result.checks if c.expectation == "repetition_in_range"]
    assert result.holds and (check.holds, check.failed_rows, check.examples) == (True, 1, ("p7",))


def test_records_without_signals_are_passed_over() -> None:
    older = [record(n) | dict.fromkeys(SIGNALS.names) | {"domain": None} for n in range(2)]
    assert check_records(table(*older), bounds(2)).holds


def test_every_expectation_that_a_recipe_may_soften_is_one() -> None:
    named = {e.name for e in (*problem_expectations(ProblemBounds()), *run_expectations(bounds(1)))}
    named |= {*expectations(), *(e.name for e in trajectory_expectations(STRICT))}
    named |= {e.name for e in drift_expectations(DriftBounds(), "demo@1", "warn")}
    assert set(get_args(Softened)) <= named


def test_the_result_is_plain_json_even_of_hostile_numbers() -> None:
    rows = [record(0, score=math.nan), record(1, score=-math.inf), record(2, score=1e300)]
    text = json.dumps(check_records(table(*rows), bounds(3)).to_json(), allow_nan=False)
    assert json.loads(text)["holds"] is False
