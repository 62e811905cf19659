"""What a run asks of its data, out of its recipe and its counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cord.recipe import ContractSettings
from data_contracts.expectations import Expectation
from data_contracts.result import Severity


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What became of the problems of a run."""

    problems: int
    """Read from the source, rows that could not be read included."""
    records: int
    """Problems with at least one record."""
    wrong: int
    """Problems that were decoded, and whose answer is not correct."""
    quarantined: int
    """Rows and problems set aside with a reason, duplicates included."""
    correct: int
    """Problems whose kept trajectory is correct, published or not."""


@dataclass(frozen=True, slots=True)
class QualityBounds:
    """What texts should keep to, and whether it stops a release that they do not."""

    languages: tuple[str, ...] = ()
    """None: any."""
    max_repetition: float = 0.3
    max_outliers: float = 0.01
    """Share of rows that may break each of the bounds on quality but for leaks."""
    max_leaks: float = 0.01
    max_unfinished: float = 0.5
    stops: frozenset[str] = frozenset()
    """Names of expectations on quality that stop a release; the others warn."""

    @classmethod
    def of(cls, contract: ContractSettings) -> QualityBounds:
        """What a recipe gives stops a release, defaults only warn."""
        given = {
            "repetition_in_range": contract.max_repetition,
            "answer_not_leaked": contract.max_leaks,
            "enough_finished": contract.max_unfinished,
            "language_expected": contract.languages or None,
        }
        bounds = {
            "max_repetition": contract.max_repetition,
            "max_leaks": contract.max_leaks,
            "max_unfinished": contract.max_unfinished,
        }
        return cls(
            languages=contract.languages,
            max_outliers=contract.max_outliers,
            stops=frozenset(name for name, value in given.items() if value is not None),
            **{name: value for name, value in bounds.items() if value is not None},
        )

    def severity(self, name: str) -> Severity:
        """Of the expectation with this name."""
        return "stop" if name in self.stops else "warn"


@dataclass(frozen=True, slots=True)
class RecordBounds:
    """What a release must keep to; from the recipe, and from what the run counted."""

    max_steps: int
    max_tokens: int
    counts: RunCounts
    min_records: int = 1
    min_correct: float = 0.0
    """Least share of the problems read that end correct, 0 to 1."""
    unique_problem: bool = True
    """One record a problem; otherwise one for each rank of a problem."""
    quality: QualityBounds = QualityBounds()
    warn: frozenset[str] = frozenset()
    """Names of expectations that only warn."""


def softened(expectations: Iterable[Expectation], warn: frozenset[str]) -> tuple[Expectation, ...]:
    """The same, of which those named only warn."""
    return tuple(replace(e, severity="warn") if e.name in warn else e for e in expectations)
