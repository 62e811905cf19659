"""What records should be like beyond being right: expectations on the quality signals.

They are measures of text, not proofs: each holds on most rows, and unless the recipe gives its
bound it only warns. Records of releases that have no signals are passed over."""

from __future__ import annotations

from data_contracts.bounds import QualityBounds
from data_contracts.expectations import Expectation, between, every

_LOOK = "look at the records named; "


def quality_expectations(bounds: QualityBounds) -> tuple[Expectation, ...]:
    """The contract on the texts of records, at a glance."""
    most = f"in all but {percent(bounds.max_outliers)} of the records"
    mostly = 1 - bounds.max_outliers
    expected = every(
        "language_expected",
        "language",
        f"{most}, the thinking is in {' or '.join(bounds.languages)} (contract.languages)",
        _LOOK + "add their language to contract.languages, or take their problems out",
        mostly=mostly,
        severity=bounds.severity("language_expected"),
    )
    return (
        between(
            "repetition_in_range",
            "repetition",
            f"{most}, at most {percent(bounds.max_repetition)} of the thinking says ten words "
            "again (contract.max_repetition)",
            _LOOK + "use other teachers, lower search.max_step_tokens, or raise the bound",
            most=bounds.max_repetition,
            mostly=mostly,
            severity=bounds.severity("repetition_in_range"),
        ),
        *((expected,) if bounds.languages else ()),
        every(
            "language_of_question",
            "language",
            f"{most}, the thinking is in the language of its question",
            _LOOK + "use teachers that keep to the language, or take their problems out",
            mostly=mostly,
            severity=bounds.severity("language_of_question"),
        ),
        every(
            "answer_not_leaked",
            "leaks_answer",
            f"in all but {percent(bounds.max_leaks)} of the records, the first step does not have "
            "the answer before it is computed (contract.max_leaks)",
            _LOOK + "where teachers know their problems by heart, use other problems",
            mostly=1 - bounds.max_leaks,
            severity=bounds.severity("answer_not_leaked"),
        ),
        every(
            "not_truncated",
            "truncated",
            f"{most}, the text has an end: what the answer opens it closes",
            _LOOK + "raise search.max_step_tokens",
            mostly=mostly,
            severity=bounds.severity("not_truncated"),
        ),
    )


def percent(share: float) -> str:
    """A share for people: `12.5 %`."""
    return f"{100 * share:.4g} %"
