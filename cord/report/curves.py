"""What the pictures draw: figures by progress, by difficulty, by teacher."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cord.ablation.measures import Measured
from cord.ablation.pictures import PARTS, shares_by_progress
from cord.lake.tables.rows import Row
from cord.report.lines import OUTCOMES, Line
from cord.summary import Summary

MOST_CLASSES = 10
"""Classes of difficulty: tenths, or fewer where a class would have less than `LEAST` problems."""
LEAST = 6
_JUDGED = tuple(OUTCOMES.index(name) for name in ("not verified", "waiting"))


@dataclass(frozen=True, slots=True)
class Curves:
    """Everything that is drawn, as rows for Vega-Lite."""

    shares: list[dict[str, Any]]
    """progress, teacher, share"""
    scores: list[dict[str, Any]]
    """progress, mean, and the quantiles p10, p25, p75, p90 of S"""
    costs: list[dict[str, Any]]
    """teacher, what (kept or thrown away), tokens"""
    seconds: list[dict[str, Any]]
    """teacher, seconds of its requests"""
    difficulty: list[dict[str, Any]]
    """class (1 is hardest), problems, accuracy, low, high, and the bounds of S before any step"""


def curves(paths: Iterable[Row], lines: Sequence[Line], summary: Summary) -> Curves:
    """All of them; `paths` are rows of `reading.best_paths`."""
    scores: list[np.ndarray[Any, Any]] = []
    shares = shares_by_progress(_measured(paths, scores))
    return Curves(
        shares=[
            {"progress": progress, "teacher": teacher, "share": share}
            for progress, of_teachers in shares.items()
            for teacher, share in of_teachers.items()
        ],
        scores=_spread(scores),
        costs=[
            {"teacher": share.teacher, "what": what, "tokens": tokens}
            for share in summary.shares
            for what, tokens in (
                ("kept", share.tokens_kept),
                ("thrown away", share.tokens_thrown_away),
            )
        ],
        seconds=[
            {"teacher": share.teacher, "seconds": share.request_seconds} for share in summary.shares
        ],
        difficulty=by_difficulty(
            [
                (line.start, line.is_correct)
                for line in lines
                if line.start is not None and line.outcome not in _JUDGED
            ]
        ),
    )


def _measured(paths: Iterable[Row], scores: list[np.ndarray[Any, Any]]) -> Iterator[Measured]:
    """The authors of each path; on the way its S by tenths of progress is put into `scores`."""
    for row in paths:
        if row["scores"] is not None and len(row["scores"]) == row["steps"]:
            path = [row["start_score"], *row["scores"]]
            places = [math.floor(p / PARTS * row["steps"] + 1e-9) for p in range(PARTS + 1)]
            scores.append(np.array([path[place] for place in places], np.float32))
        yield Measured.model_construct(teachers=tuple(row["teachers"]))


def _spread(scores: Sequence[np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    if not scores:
        return []
    found = np.stack(scores).astype(np.float64)
    quantiles = np.quantile(found, [0.1, 0.25, 0.75, 0.9], axis=0)
    return [
        {
            "progress": part / PARTS,
            "mean": float(found[:, part].mean()),
            **{
                name: float(quantiles[place, part])
                for place, name in enumerate(("p10", "p25", "p75", "p90"))
            },
        }
        for part in range(PARTS + 1)
    ]


def by_difficulty(judged: Sequence[tuple[float, bool]]) -> list[dict[str, Any]]:
    """Accuracy by S of the empty prefix, in classes of (nearly) as many problems: what the
    meta-prover holds the right answer to be worth before anybody has thought. Each with its 95 %
    interval by Wilson's score."""
    classes = min(MOST_CLASSES, len(judged) // LEAST)
    if classes < 2:
        return []
    order = sorted(judged)
    found = []
    for place in range(classes):
        part = order[place * len(order) // classes : (place + 1) * len(order) // classes]
        correct = sum(right for _, right in part)
        low, high = wilson(correct, len(part))
        found.append(
            {
                "class": place + 1,
                "problems": len(part),
                "accuracy": correct / len(part),
                "low": low,
                "high": high,
                "from": part[0][0],
                "to": part[-1][0],
            }
        )
    return found


def wilson(hits: int, of: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share, by Wilson's score: inside [0, 1] for small numbers too."""
    share, spread = hits / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / of + spread / of / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)
