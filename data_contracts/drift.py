"""Whether a release is still what the one before it was: expectations on the change of profiles.

A profile (`cord.signals.profile`) is stored with each release. What either of the two does not tell
(an older release has none) is passed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cord.recipe import DriftBounds
from cord.signals.profile import Profile
from data_contracts.bounds import softened
from data_contracts.expectations import Expectation, between
from data_contracts.gate import gate
from data_contracts.quality import percent
from data_contracts.result import Check, Severity


def drift_expectations(bounds: DriftBounds, before: str, severity: Severity) -> list[Expectation]:
    """The contract on the change since the release `before` (`demo@3`), at a glance."""
    same = "if the change is meant, raise its bound in contract.drift"

    def changes(name: str, field: str, sentence: str, most: float) -> Expectation:
        return between(name, field, sentence, same, measure=name, most=most, severity=severity)

    return [
        changes(
            "score_drift",
            "score",
            f"the mean score is within {bounds.score:g} of that of {before} (contract.drift.score)",
            bounds.score,
        ),
        changes(
            "length_drift",
            "tokens",
            f"the mean number of tokens is within {percent(bounds.length)} of that of {before} "
            "(contract.drift.length)",
            bounds.length,
        ),
        changes(
            "teacher_drift",
            "teachers",
            f"at most {percent(bounds.teacher_shares)} of the steps went over to other teachers "
            f"since {before} (contract.drift.teacher_shares)",
            bounds.teacher_shares,
        ),
        changes(
            "domain_drift",
            "domain",
            f"at most {percent(bounds.domains)} of the records went over to other domains since "
            f"{before} (contract.drift.domains)",
            bounds.domains,
        ),
    ]


def check_drift(
    now: Profile,
    earlier: Profile,
    before: str,
    bounds: DriftBounds | None = None,
    warn: frozenset[str] = frozenset(),
) -> tuple[Check, ...]:
    """Hold a release's profile against that of the release named `before`.

    Bounds that are given stop a release, the defaults only warn."""
    severity: Severity = "warn" if bounds is None else "stop"
    bounds = bounds or DriftBounds()
    score, score_said = _numbers(now, earlier, "score", relative=False)
    length, length_said = _numbers(now, earlier, "tokens", relative=True)
    teachers, teachers_said = _shares(now, earlier, "teachers")
    domains, domains_said = _shares(now, earlier, "domain")
    measures = {
        "score_drift": score,
        "length_drift": length,
        "teacher_drift": teachers,
        "domain_drift": domains,
    }
    said = [score_said, length_said, teachers_said, domains_said]
    expectations = [
        replace(expectation, observed=sentence)
        for expectation, sentence in zip(
            drift_expectations(bounds, before, severity), said, strict=True
        )
    ]
    numbers = {name: np.array([value]) for name, value in measures.items()}
    return gate("records.drift", numbers, softened(expectations, warn))


def _numbers(now: Profile, earlier: Profile, column: str, relative: bool) -> tuple[float, str]:
    """The change of a mean, and a sentence on it; NaN where one is not known."""
    means = [profile.get("numbers", {}).get(column, {}).get("mean") for profile in (earlier, now)]
    if means[0] is None or means[1] is None:
        return np.nan, "nothing to compare"
    was, is_now = float(means[0]), float(means[1])
    if not relative:
        return abs(is_now - was), f"{was:.4g} before, {is_now:.4g} now"
    change = abs(is_now - was) / was if was else float(is_now != was)
    return change, f"{was:,.6g} before, {is_now:,.6g} now: {percent(change)}"


def _shares(now: Profile, earlier: Profile, column: str) -> tuple[float, str]:
    """The total variation distance of two distributions, and a sentence on what moved most."""
    was: Mapping[str, float] = earlier.get("shares", {}).get(column, {})
    is_now: Mapping[str, float] = now.get("shares", {}).get(column, {})
    if not was or not is_now:
        return np.nan, "nothing to compare"
    moved = {name: is_now.get(name, 0.0) - was.get(name, 0.0) for name in {**was, **is_now}}
    most = max(moved, key=lambda name: abs(moved[name]))
    distance = sum(abs(change) for change in moved.values()) / 2
    return distance, (
        f"{percent(distance)}; most of all {most}: {percent(was.get(most, 0.0))} before, "
        f"{percent(is_now.get(most, 0.0))} now"
    )
