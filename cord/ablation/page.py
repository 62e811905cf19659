"""A grid's report as one web page, whole in itself: no script, nothing loaded from elsewhere.

Names come from recipes and are escaped; the pictures are our own SVG, shown as images, so that
nothing in them can run.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from cord.ablation.recipe import Ablation
from cord.ablation.tables import Held, Table, VariantResult
from cord.intervals import Interval


@dataclass(frozen=True, slots=True)
class StudentResult:
    """What the students of one variant's data came to."""

    name: str
    records: int
    """Trained on, for each seed."""
    fidelity: float | None
    """Share of these that are right in every step, right answer or not counted alike."""
    scores: Mapping[str, Interval]
    """Pass@1 by benchmark, over seeds and problems."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a report shows."""

    ablation: Ablation
    results: Mapping[str, VariantResult]
    tables: Sequence[Table]
    claims: Sequence[Held]
    students: Sequence[StudentResult]
    pictures: Sequence[tuple[str, str]]
    missing: Sequence[str]
    """Cells that are not done, each with its reason."""


def render(report: Report) -> str:
    """HTML."""
    environment = Environment(
        loader=PackageLoader("cord.ablation", "."), autoescape=True, undefined=StrictUndefined
    )
    environment.filters.update(share=_share, data_uri=_data_uri, interval=_interval)
    return environment.get_template("page.html.j2").render(report=report)


def _share(value: float | None, digits: int = 3) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _interval(value: Interval) -> str:
    return "–" if math.isnan(value.low) else f"{value.low:.3f} … {value.high:.3f}"


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def to_json(report: Report) -> dict[str, object]:
    """The same in plain JSON types, for programs."""
    return {
        "ablation": report.ablation.name,
        "seeds": list(report.ablation.seeds),
        "variants": {name: _figures(result) for name, result in report.results.items()},
        "tables": [
            {
                "title": table.title,
                "rows": {
                    row.label: {
                        "variant": row.result.name,
                        "paper": None
                        if row.paper is None
                        else {
                            "accuracy": row.paper.accuracy,
                            "score": row.paper.score,
                            "seconds": row.paper.seconds,
                        },
                    }
                    for row in table.rows
                },
            }
            for table in report.tables
        ],
        "claims": [
            {
                "says": held.claim.says,
                "measure": held.claim.measure,
                "holds": held.holds,
                "certain": held.certain,
                "steps": [
                    {"above": s.above, "below": s.below, "least": s.least, **_estimate(s.by)}
                    for s in held.steps
                ],
            }
            for held in report.claims
        ],
        "students": {
            s.name: {
                "records": s.records,
                "fidelity": s.fidelity,
                "pass@1": {name: _estimate(score) for name, score in s.scores.items()},
            }
            for s in report.students
        },
        "missing": list(report.missing),
    }


def _figures(result: VariantResult) -> dict[str, object]:
    return {
        "problems": len(result.problems),
        "seeds": len(result.seeds),
        "accuracy": _estimate(result.accuracy),
        "score": _estimate(result.score),
        "fidelity": None if result.fidelity is None else _estimate(result.fidelity),
        "tokens": result.tokens,
        "seconds": result.seconds,
    }


def _estimate(one: Interval) -> dict[str, float | None]:
    values = {"mean": one.mean, "low": one.low, "high": one.high}
    return {name: None if math.isnan(value) else value for name, value in values.items()}
