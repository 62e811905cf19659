"""What a contract found: one `Check` per expectation, gathered in a `ContractResult`.

Plain values only, so that a result is stored with the run and the release as JSON, and shown on a
terminal, without Great Expectations being installed where it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Severity = Literal["stop", "warn"]

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation, and whether it held."""

    expectation: str
    """Its name, the same in every run: `score_in_range`."""
    field: str
    """The column it is about; `rows`, `columns` or `counts` where it is about all of them."""
    sentence: str
    """What must hold, in plain words, with the bound."""
    holds: bool
    observed: str
    """What was found."""
    failed_rows: int = 0
    """How many rows break it; 0 for what is said of the table or the run as a whole."""
    examples: tuple[str, ...] = ()
    """The first of those rows (at most 5) by problem id, or by source or row where none is given;
    names of columns where the columns are not as agreed."""
    severity: Severity = "stop"
    """`stop`: nothing is published unless it holds. `warn`: it is only reported."""
    remedy: str = ""
    """What to do where it does not hold."""


@dataclass(frozen=True, slots=True)
class ContractResult:
    """One contract held against one table."""

    contract: str
    """`problems`, `trajectories` or `records`."""
    holds: bool
    """Every expectation of severity `stop` held, and none was left out."""
    rows: int
    checks: tuple[Check, ...]
    skipped: tuple[str, ...] = ()
    """Expectations that were not looked at, because the columns are not as agreed."""

    @classmethod
    def of(
        cls, contract: str, rows: int, checks: tuple[Check, ...], skipped: tuple[str, ...] = ()
    ) -> ContractResult:
        """Sum the checks up."""
        stopped = any(check.severity == "stop" and not check.holds for check in checks)
        return cls(contract, not stopped and not skipped, rows, checks, skipped)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> ContractResult:
        """What `to_json` has made, read again. Raises TypeError or KeyError for anything else."""
        checks = [{**check, "examples": tuple(check["examples"])} for check in stored["checks"]]
        return cls(
            stored["contract"],
            stored["holds"],
            stored["rows"],
            tuple(Check(**check) for check in checks),
            tuple(stored["skipped"]),
        )

    def joined(self, checks: Sequence[Check]) -> ContractResult:
        """The same with further checks."""
        return self.of(self.contract, self.rows, (*self.checks, *checks), self.skipped)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks of severity `stop` that did not hold."""
        return tuple(c for c in self.checks if not c.holds and c.severity == "stop")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks of severity `warn` that did not hold."""
        return tuple(c for c in self.checks if not c.holds and c.severity == "warn")

    def to_json(self) -> dict[str, Json]:
        """Plain JSON types, no NaN: what is stored with the run and the release."""
        checks: list[Json] = [
            {**asdict(check), "examples": list(check.examples)} for check in self.checks
        ]
        return {
            "contract": self.contract,
            "holds": self.holds,
            "rows": self.rows,
            "checks": checks,
            "skipped": list(self.skipped),
        }

    def explain(self) -> str:
        """For a terminal: which expectation failed, on which rows, and what to do."""
        rows = _count(self.rows, "row")
        if self.holds:
            looked_at = _count(len(self.checks), "expectation")
            lines = [f"The contract `{self.contract}` holds: {looked_at} on {rows}."]
        else:
            lines = [
                f"The contract `{self.contract}` does not hold: "
                f"{len(self.failures)} of {len(self.checks)} expectations failed on {rows}."
            ]
        for check in (*self.failures, *self.warnings):
            lines += _explain(check)
        if self.skipped:
            lines.append(
                f"  {len(self.skipped)} further expectations were not looked at, "
                "because of the failure above."
            )
        return "\n".join(lines)


def _explain(check: Check) -> list[str]:
    mark = "FAILED" if check.severity == "stop" else "warning"
    lines = [
        f"  {mark} {check.expectation} ({check.field})",
        f"    must hold: {check.sentence}",
        f"    found:     {check.observed}",
    ]
    if check.examples:
        more = ", ..." if check.failed_rows > len(check.examples) else ""
        lines.append(f"    where:     {', '.join(map(_shown, check.examples))}{more}")
    if check.remedy:
        lines.append(f"    to do:     {check.remedy}")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _shown(text: str) -> str:
    """Text from the data, fit for one line of a terminal: no control characters, no novels."""
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return plain if len(plain) <= 200 else plain[:200] + "..."
