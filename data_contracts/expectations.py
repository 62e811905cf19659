"""The vocabulary that contracts are written in: four kinds of expectation.

A contract is a table of these, each with its name and its sentence. What costs work (regular
expressions over long texts, say) is done once, vectorised, in `data_contracts.measures`; an
expectation only gates on a numeric *measure* that came out of it. A measure is NaN where there is
nothing to measure; that row is then caught by the expectation that asks for the thing itself
(`given`, `every`), and the others pass it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data_contracts.result import Severity

Kind = Literal["rows", "given", "every", "between"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of a contract. Make it with the functions below."""

    kind: Kind
    name: str
    field: str
    """The column that a user knows."""
    sentence: str
    """What must hold, in plain words, with the bound."""
    remedy: str = ""
    """What to do where it does not."""
    measure: str = ""
    """The measure it gates on."""
    least: float | None = None
    most: float | None = None
    above: bool = False
    """`least` itself is already too little."""
    mostly: float = 1.0
    """Least share of the rows with the measure on which it holds."""
    severity: Severity = "stop"
    observed: str | None = None
    """Said of what was found, where smallest and largest value would say little."""


def rows(name: str, sentence: str, least: int, remedy: str = "") -> Expectation:
    """The table has at least so many rows."""
    return Expectation("rows", name, "rows", sentence, remedy, least=least)


def given(field: str, sentence: str, remedy: str = "") -> Expectation:
    """Every row has the field: neither null nor, for a text, blank."""
    return Expectation("given", f"{field}_given", field, sentence, remedy, measure=field)


def every(
    name: str,
    field: str,
    sentence: str,
    remedy: str = "",
    *,
    measure: str = "",
    mostly: float = 1.0,
    severity: Severity = "stop",
) -> Expectation:
    """A yes-or-no measure is yes on every row, or on most; the measure has the expectation's name
    unless another is given."""
    return Expectation(
        "every",
        name,
        field,
        sentence,
        remedy,
        measure=measure or name,
        mostly=mostly,
        severity=severity,
    )


def between(
    name: str,
    field: str,
    sentence: str,
    remedy: str = "",
    *,
    measure: str = "",
    least: float | None = None,
    most: float | None = None,
    above: bool = False,
    mostly: float = 1.0,
    severity: Severity = "stop",
    observed: str | None = None,
) -> Expectation:
    """A measure keeps within its bounds on every row, or on most; the measure has the field's name
    unless another is given."""
    return Expectation(
        "between",
        name,
        field,
        sentence,
        remedy,
        measure=measure or field,
        least=least,
        most=most,
        above=above,
        mostly=mostly,
        severity=severity,
        observed=observed,
    )
