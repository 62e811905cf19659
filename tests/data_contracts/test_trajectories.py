"""Every expectation on trajectories is broken once, by name, on a row that is named."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pyarrow as pa
import pytest

from cord.recipe.contract import ContractSettings
from data_contracts.bounds import QualityBounds
from data_contracts.result import ContractResult
from data_contracts.trajectories import (
    TRAJECTORY_SCHEMA,
    check_trajectories,
    trajectory_expectations,
)


def trajectory(**changes: Any) -> dict[str, Any]:
    return {
        "problem_id": "p",
        "key": "a1b2",
        "rank": 0,
        "finished": True,
        "score": 0.75,
        "start_score": 0.1,
        "steps": 2,
        "tokens": 30,
        "answer": "2",
        "teachers": ["add", "say"],
        "scores": [0.5, 0.75],
    } | changes


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=TRAJECTORY_SCHEMA)


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("key_given", trajectory(key=" ")),
    ("rank_given", trajectory(rank=None)),
    ("rank_in_range", trajectory(rank=-1)),
    ("finished_given", trajectory(finished=None)),
    ("answer_where_finished", trajectory(answer=None)),
    ("score_given", trajectory(score=math.nan, scores=None)),
    ("score_in_range", trajectory(score=0.0, scores=[0.5, 0.0])),
    ("start_score_given", trajectory(start_score=None)),
    ("start_score_in_range", trajectory(start_score=1.5)),
    ("steps_given", trajectory(steps=None)),
    ("steps_in_range", trajectory(steps=-1, teachers=None, scores=None)),
    ("tokens_given", trajectory(tokens=None)),
    ("tokens_counted", trajectory(tokens=-3)),
    ("teachers_given", trajectory(teachers=None)),
    ("teachers_named", trajectory(teachers=["add", ""])),
    ("teacher_for_each_step", trajectory(teachers=["add"])),
    ("score_for_each_step", trajectory(scores=[0.75])),
    ("scores_end_in_score", trajectory(scores=[0.75, 0.5])),
]
TEACHERLESS = {"teachers_given"}
"""What a row without teachers breaks besides: the count of its steps could not be seen alone."""


@cache
def checked() -> ContractResult:
    rows = [row | {"problem_id": f"case {n}"} for n, (_, row) in enumerate(BROKEN)]
    return check_trajectories(table(trajectory(), *rows))


@pytest.mark.parametrize("case", range(len(BROKEN)), ids=[name for name, _ in BROKEN])
def test_a_broken_row_fails_just_its_own_expectation_and_is_named(case: int) -> None:
    own, row = BROKEN[case]
    failed = {c.expectation for c in checked().failures if f"case {case}" in c.examples}
    assert failed == {own} | (TEACHERLESS if row["teachers"] is None else set())


def test_no_expectation_is_left_out() -> None:
    elsewhere = {"problem_id_given", "problem_rank_unique", "enough_finished"}
    names = {expectation.name for expectation in trajectory_expectations(QualityBounds())}
    assert {name for name, _ in BROKEN} == names - elsewhere


def test_good_trajectories_hold_and_older_ones_have_no_scores() -> None:
    rows = [trajectory(), trajectory(rank=1, finished=False, answer=None, scores=None)]
    result = check_trajectories(table(*rows))
    assert result.holds and not result.warnings


def test_a_problem_with_a_rank_twice_and_one_without_a_name_are_named() -> None:
    result = check_trajectories(table(trajectory(), trajectory(), trajectory(problem_id=None)))
    assert {c.expectation: c.examples for c in result.failures} == {
        "problem_rank_unique": ("p",),
        "problem_id_given": ("row 3",),
    }


def test_too_few_finished_ones_warn_until_the_recipe_bounds_them() -> None:
    rows = [trajectory(problem_id=f"p{n}", finished=n == 0) for n in range(4)]
    rows.append(trajectory(rank=1, problem_id="p0", finished=False))  # not its best
    (warning,) = check_trajectories(table(*rows)).warnings
    assert (warning.expectation, warning.examples) == ("enough_finished", ("p1", "p2", "p3"))
    given = QualityBounds.of(ContractSettings(max_unfinished=0.5))
    assert not check_trajectories(table(*rows), given).holds
    assert check_trajectories(table(*rows), given, frozenset({"enough_finished"})).holds
    assert check_trajectories(table(*rows), QualityBounds(max_unfinished=0.75)).holds
