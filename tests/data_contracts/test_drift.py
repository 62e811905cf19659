"""Each expectation on the change since the last release fails alone, and says what moved."""

from __future__ import annotations

from typing import Any

import pytest

from cord.recipe import DriftBounds
from data_contracts.drift import check_drift


def profile(
    score: float = 0.8,
    tokens: float = 400.0,
    teachers: dict[str, float] | None = None,
    domain: dict[str, float] | None = None,
) -> dict[str, Any]:
    return {
        "rows": 10,
        "numbers": {"score": {"mean": score}, "tokens": {"mean": tokens}},
        "shares": {
            "teachers": teachers or {"a": 0.5, "b": 0.5},
            "domain": domain or {"math": 1.0},
        },
    }


MOVED = [
    ("score_drift", profile(score=0.69), "0.8 before, 0.69 now"),
    ("score_drift", profile(score=0.91), "0.8 before, 0.91 now"),
    ("length_drift", profile(tokens=604), "400 before, 604 now: 51 %"),
    ("length_drift", profile(tokens=196), "400 before, 196 now: 51 %"),
    ("teacher_drift", profile(teachers={"a": 0.75, "b": 0.25}), "25 %; most of all a"),
    ("teacher_drift", profile(teachers={"a": 0.4, "c": 0.6}), "60 %; most of all c"),
    ("domain_drift", profile(domain={"math": 0.7, "code": 0.3}), "30 %; most of all math"),
]


@pytest.mark.parametrize(("name", "now", "said"), MOVED)
def test_what_moved_too_far_fails_alone_and_is_said(
    name: str, now: dict[str, Any], said: str
) -> None:
    checks = check_drift(now, profile(), "demo@3", DriftBounds())
    (failed,) = [check for check in checks if not check.holds]
    assert failed.expectation == name and said in failed.observed and "demo@3" in failed.sentence


def test_what_stays_within_its_bounds_holds() -> None:
    now = profile(0.75, 500, {"a": 0.6, "b": 0.4}, {"math": 0.9, "code": 0.1})
    assert all(check.holds for check in check_drift(now, profile(), "demo@3", DriftBounds()))


def test_drift_only_warns_until_the_recipe_bounds_it() -> None:
    now = profile(score=0.2)
    assert {c.severity for c in check_drift(now, profile(), "demo@3")} == {"warn"}
    checks = check_drift(now, profile(), "demo@3", DriftBounds(), frozenset({"score_drift"}))
    assert [c.severity for c in checks] == ["warn", "stop", "stop", "stop"]


def test_a_release_without_a_profile_is_nothing_to_compare_with() -> None:
    for earlier in ({}, {"rows": 0, "numbers": {}, "shares": {}, "flags": {}}):
        checks = check_drift(profile(), earlier, "demo@3", DriftBounds())
        assert all(c.holds and c.observed == "nothing to compare" for c in checks)
