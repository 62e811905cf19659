"""A grid's figures: each variant over its seeds, the paper's tables beside ours, its claims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from cord.ablation.measures import Measured, Measures
from cord.ablation.paper import PAPER, PaperRow
from cord.ablation.recipe import Ablation, Claim, ComparisonTable, Measure
from cord.intervals import Interval, Ratio


@dataclass(frozen=True)
class VariantResult:
    """One variant over the seeds that are done."""

    name: str
    problems: tuple[str, ...]
    """Ids, in the order of every column."""
    seeds: tuple[Measures, ...]

    @cached_property
    def _by_problem(self) -> list[list[Measured]]:
        found: dict[str, list[Measured]] = {name: [] for name in self.problems}
        for measures in self.seeds:
            for measured in measures.problems:
                found[measured.problem_id].append(measured)
        return [found[name] for name in self.problems]

    def ratio(self, of: Measure) -> Ratio:
        """A measure by problem, summed over seeds. A problem that came to nothing is wrong, and its
        S is 0; fidelity is the share of the *right* trajectories whose every step is right."""
        rows = self._by_problem
        tries = np.full(len(rows), float(len(self.seeds)))
        right = np.array([sum(m.correct for m in row) for row in rows], dtype=np.float64)
        if of == "accuracy":
            return Ratio(right, tries)
        if of == "score":
            return Ratio(np.array([math.fsum(m.score for m in row) for row in rows]), tries)
        faithful = [sum(m.correct and bool(m.faithful) for m in row) for row in rows]
        return Ratio(np.array(faithful, dtype=np.float64), right)

    @property
    def accuracy(self) -> Interval:
        """Share of right answers."""
        return self.ratio("accuracy").interval

    @property
    def score(self) -> Interval:
        """Mean S by the meta-prover, whatever the variant decides by."""
        return self.ratio("score").interval

    @property
    def fidelity(self) -> Interval | None:
        """Share of the right trajectories whose every step is right; None where it is unknown."""
        known = any(m.faithful is not None for row in self._by_problem for m in row)
        return self.ratio("fidelity").interval if known else None

    @property
    def tokens(self) -> float:
        """Sampled for a problem, thrown-away ones included."""
        spent = [m.tokens for row in self._by_problem for m in row]
        return sum(spent) / max(1, len(spent))

    @property
    def seconds(self) -> float | None:
        """Decoding, a problem; None where earlier runs have done it."""
        known = [m.seconds for m in self.seeds if m.seconds is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    label: str
    result: VariantResult
    paper: PaperRow | None


@dataclass(frozen=True, slots=True)
class Table:
    """One table."""

    title: str
    has_paper: bool
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One "is above" of a claim."""

    above: str
    below: str
    by: Interval
    """How far, on the same problems."""
    least: float

    @property
    def holds(self) -> bool:
        """By our figures."""
        return self.by.mean >= self.least

    @property
    def certain(self) -> bool:
        """The whole interval says the same."""
        return self.by.low >= self.least if self.holds else self.by.high < self.least


@dataclass(frozen=True, slots=True)
class Held:
    """A claim against our figures."""

    claim: Claim
    steps: tuple[Step, ...]

    @property
    def holds(self) -> bool:
        """Every part of it does."""
        return all(step.holds for step in self.steps)

    @property
    def certain(self) -> bool:
        """It holds, or does not, beyond what another draw of problems would show."""
        if self.holds:
            return all(step.certain for step in self.steps)
        return any(step.certain for step in self.steps if not step.holds)


def results_of(
    ablation: Ablation, measured: Mapping[tuple[str, int], Measures]
) -> dict[str, VariantResult]:
    """Each variant that has at least one cell, by name."""
    ids = {m.problem_id for measures in measured.values() for m in measures.problems}
    problems = tuple(sorted(ids))
    results = {}
    for variant in ablation.variants:
        seeds = tuple(measured[variant, s] for s in ablation.seeds if (variant, s) in measured)
        if seeds:
            results[variant] = VariantResult(variant, problems, seeds)
    return results


def tables_of(ablation: Ablation, results: Mapping[str, VariantResult]) -> list[Table]:
    """The tables that the ablation asks for; a row appears once its variant has a cell."""
    return [_table(asked, results) for asked in ablation.tables]


def _table(asked: ComparisonTable, results: Mapping[str, VariantResult]) -> Table:
    figures = PAPER[asked.paper] if asked.paper else {}
    rows = (
        Row(label, results[variant], figures.get(label))
        for label, variant in asked.rows.items()
        if variant in results
    )
    return Table(asked.title, bool(figures), tuple(rows))


def held(ablation: Ablation, results: Mapping[str, VariantResult]) -> list[Held]:
    """Every claim whose variants all have cells."""
    return [
        Held(claim, tuple(_steps(claim, results)))
        for claim in ablation.claims
        if all(name in results for name in claim.named)
    ]


def _steps(claim: Claim, results: Mapping[str, VariantResult]) -> list[Step]:
    names = [_best(each, claim.measure, results) for each in claim.order]
    return [
        Step(
            above,
            below,
            results[above].ratio(claim.measure).above(results[below].ratio(claim.measure)),
            claim.by,
        )
        for above, below in pairwise(names)
    ]


def _best(
    named: str | Sequence[str], measure: Measure, results: Mapping[str, VariantResult]
) -> str:
    if isinstance(named, str):
        return named
    return max(named, key=lambda name: results[name].ratio(measure).interval.mean)
