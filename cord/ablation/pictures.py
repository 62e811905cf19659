"""The pictures of a grid, as SVG: who leads when, how S grows, what accuracy costs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cord import drawing
from cord.ablation.measures import Measured
from cord.ablation.tables import VariantResult

PARTS = 10
"""Progress is shown in tenths of a trajectory."""
LABEL_WIDTH, LABEL_HEIGHT = 0.5, 0.027
"""What a name takes: in powers of ten of tokens, and in accuracy."""


def teachers_by_progress(results: Sequence[VariantResult]) -> str:
    """Each teacher's share of the steps by progress (the paper's figure 2), a panel a variant."""
    values = [
        {"variant": result.name, "progress": progress, "teacher": teacher, "share": share}
        for result in results
        for progress, shares in shares_by_progress(_all(result)).items()
        for teacher, share in shares.items()
    ]
    altair = drawing.altair()
    chart = (
        altair.Chart(altair.InlineData(values=values), width=240, height=200)
        .mark_area()
        .encode(
            x=altair.X("progress:Q", title="progress", axis=altair.Axis(format="%")),
            y=altair.Y("share:Q", stack="normalize", title="share of steps"),
            color=altair.Color("teacher:N", title="teacher"),
            facet=altair.Facet("variant:N", title=None, columns=3),
        )
    )
    return drawing.svg(chart, "Who writes when")


def score_by_progress(results: Sequence[VariantResult]) -> str:
    """The mean of S along the kept trajectories."""
    values = [
        {"variant": result.name, "progress": progress, "score": score}
        for result in results
        for progress, score in scores_by_progress(_all(result)).items()
    ]
    altair = drawing.altair()
    chart = (
        altair.Chart(altair.InlineData(values=values), width=520, height=260)
        .mark_line(point=True)
        .encode(
            x=altair.X("progress:Q", title="progress", axis=altair.Axis(format="%")),
            y=altair.Y("score:Q", title="mean S", scale=altair.Scale(domain=[0, 1])),
            color=altair.Color("variant:N", title=None),
        )
    )
    return drawing.svg(chart, "How predictable the answer is")


def accuracy_by_tokens(results: Iterable[VariantResult]) -> str:
    """What each variant's accuracy costs."""
    values: list[dict[str, Any]] = [
        {
            "variant": result.name,
            "tokens": result.tokens,
            "accuracy": result.accuracy.mean,
            "low": result.accuracy.low,
            "high": result.accuracy.high,
        }
        for result in results
    ]
    places = labels([(float(v["tokens"]), float(v["accuracy"])) for v in values])
    for value, place in zip(values, places, strict=True):
        value["label"] = place
    altair = drawing.altair()
    base = altair.Chart(altair.InlineData(values=values), width=720, height=480).encode(
        x=altair.X("tokens:Q", title="sampled tokens a problem", scale=altair.Scale(type="log")),
        tooltip=altair.value(None),
    )
    scale = altair.Scale(domain=[-0.05, 1.05], nice=False)
    axis = altair.Y("accuracy:Q", title="accuracy", scale=scale)
    bars = base.mark_rule(opacity=0.5).encode(
        y=altair.Y("low:Q", title="accuracy", scale=scale), y2="high:Q"
    )
    points = base.mark_point(filled=True, size=60).encode(y=axis)
    names = base.mark_text(align="left", dx=7, fontSize=11).encode(
        y=altair.Y("label:Q", title="accuracy", scale=scale), text="variant:N"
    )
    return drawing.svg(bars + points + names, "Accuracy against tokens")


def labels(points: Sequence[tuple[float, float]]) -> list[float]:
    """Where the names of points (tokens, accuracy) stand: at their accuracy, or as little below it
    as keeps them from covering each other."""
    placed: list[tuple[float, float]] = []
    found = [0.0] * len(points)
    for index in sorted(range(len(points)), key=lambda i: (-points[i][1], points[i][0])):
        tokens, place = math.log10(max(1.0, points[index][0])), points[index][1]
        for other, taken in sorted(placed, key=lambda one: -one[1]):
            if abs(tokens - other) < LABEL_WIDTH and abs(place - taken) < LABEL_HEIGHT:
                place = taken - LABEL_HEIGHT
        placed.append((tokens, place))
        found[index] = place
    return found


def shares_by_progress(measured: Iterable[Measured]) -> dict[float, dict[str, float]]:
    """Progress (the middle of a tenth) to each teacher's share of what is written there. A step
    counts for all tenths that it reaches into, by how far."""
    written: list[Counter[str]] = [Counter() for _ in range(PARTS)]
    for one in measured:
        for index, teacher in enumerate(one.teachers):
            begin, end = index / len(one.teachers), (index + 1) / len(one.teachers)
            for part in range(PARTS):
                shared = min(end, (part + 1) / PARTS) - max(begin, part / PARTS)
                if shared > 1e-9:
                    written[part][teacher] += shared  # type: ignore[assignment]
    names = sorted({teacher for part in written for teacher in part})
    return {
        (part + 0.5) / PARTS: {name: counted[name] / sum(counted.values()) for name in names}
        for part, counted in enumerate(written)
        if counted
    }


def scores_by_progress(measured: Iterable[Measured]) -> dict[float, float]:
    """Progress, from 0 (the empty prefix) to 1 in tenths, to the mean of S there."""
    sums, paths = [0.0] * (PARTS + 1), 0
    for one in measured:
        paths += 1
        for part in range(PARTS + 1):
            steps = math.floor(part / PARTS * (len(one.path) - 1) + 1e-9)
            sums[part] += one.path[steps]
    return {part / PARTS: total / paths for part, total in enumerate(sums)} if paths else {}


def _all(result: VariantResult) -> list[Measured]:
    return [measured for measures in result.seeds for measured in measures.problems]


def pictures_of(
    results: Mapping[str, VariantResult], pictured: Sequence[str]
) -> list[tuple[str, str]]:
    """(name, SVG) of every picture that there is anything to draw for."""
    if not results:
        return []
    chosen = [results[name] for name in pictured if name in results]
    drawn = [("accuracy-by-tokens", accuracy_by_tokens(results.values()))]
    if chosen:
        drawn += [
            ("teachers-by-progress", teachers_by_progress(chosen)),
            ("score-by-progress", score_by_progress(chosen)),
        ]
    return drawn
