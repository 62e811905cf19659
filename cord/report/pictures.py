"""The pictures of a report, each twice: for light and for dark pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cord.drawing import altair, svg
from cord.report.curves import Curves

PALETTE = (
    "#4c8dd6",
    "#e8873a",
    "#3fa66b",
    "#b07cd8",
    "#d9587a",
    "#2fa8b5",
    "#c2a02f",
    "#8c8f99",
    "#7a6ae0",
    "#9a6b4f",
)
"""The teachers' colours, in the recipe's order, on charts and in the explorer; they read on light
and on dark. The eleventh teacher has the first one's again."""
_INK = {"light": "#3b4252", "dark": "#c9d1dc"}
_LINE = {"light": "#d8dde6", "dark": "#333b48"}
_ACCENT = "#4c8dd6"
_WIDTH, _HEIGHT = 250, 185


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart."""

    name: str
    light: str
    dark: str
    says: str
    """What is to be seen in it, in a sentence: also for those who cannot see it."""


def colour(author: int) -> str:
    """The colour of the author with this number."""
    return PALETTE[author % len(PALETTE)]


def draw(curves: Curves, names: Sequence[str]) -> list[Picture]:
    """Every picture for which there are figures; `names` are the authors by number."""
    found = []
    if curves.shares:
        found.append(
            _drawn(
                "Who writes when",
                "Each teacher's share of the steps on the best trajectories, from their first "
                "step (left) to their last (right).",
                lambda: _shares(curves, names),
            )
        )
    if curves.scores:
        found.append(
            _drawn(
                "How S grows",
                "S along the best trajectories, how predictable the right answer has become: the "
                "mean, the middle half of the problems (dark), the middle four fifths (pale).",
                lambda: _scores(curves),
            )
        )
    if curves.costs:
        found.append(
            _drawn(
                "What each teacher cost",
                "Tokens sampled, on the best trajectories or thrown away; and the seconds of all "
                "its requests together, many of them at once.",
                lambda: _costs(curves, names),
            )
        )
    if curves.difficulty:
        classes = len(curves.difficulty)
        found.append(
            _drawn(
                "Accuracy by difficulty",
                f"Problems in {classes} classes of equal size by S before the first step: how "
                "predictable the right answer was with no thought at all. Hardest on the left; "
                "the bars are 95 % intervals (Wilson).",
                lambda: _difficulty(curves),
            )
        )
    return found


def _drawn(name: str, says: str, chart: Callable[[], Any]) -> Picture:
    made = chart()
    return Picture(name, _svg(made, "light"), _svg(made, "dark"), says)


def _svg(chart: Any, theme: str) -> str:
    ink, line = _INK[theme], _LINE[theme]
    font = "system-ui, -apple-system, Segoe UI, Roboto, sans-serif"
    words = {"labelColor": ink, "titleColor": ink, "titleFontWeight": "normal"}
    lines = {"gridColor": line, "domainColor": line, "tickColor": line}
    configuration = {"font": font, "axis": {**words, **lines}, "legend": words}
    return svg(chart, background="transparent", configuration=configuration)


def _by_author(names: Sequence[str], **more: Any) -> Any:
    scale = altair().Scale(domain=list(names), range=[colour(n) for n in range(len(names))])
    return altair().Color("teacher:N", title=None, scale=scale, **more)


def _data(values: list[dict[str, Any]]) -> Any:
    return altair().InlineData(values=values)


def _shares(curves: Curves, names: Sequence[str]) -> Any:
    writing = {row["teacher"] for row in curves.shares}
    legend = altair().Legend(
        orient="bottom", columns=4, values=[n for n in names if n in writing][:20]
    )
    return (
        altair()
        .Chart(_data(curves.shares), width=_WIDTH - 20, height=_HEIGHT)
        .mark_area(interpolate="monotone", opacity=0.9)
        .encode(
            x=altair().X(
                "progress:Q",
                title="progress",
                scale=altair().Scale(domain=[0.05, 0.95], nice=False),
                axis=altair().Axis(format="%", grid=False, values=[0.1, 0.3, 0.5, 0.7, 0.9]),
            ),
            y=altair().Y(
                "share:Q", stack="normalize", title="share of steps", axis=altair().Axis(format="%")
            ),
            color=_by_author(names, legend=legend),
        )
    )


def _scores(curves: Curves) -> Any:
    base = (
        altair()
        .Chart(_data(curves.scores), width=_WIDTH, height=_HEIGHT)
        .encode(
            x=altair().X(
                "progress:Q",
                title="progress",
                axis=altair().Axis(format="%", grid=False, tickCount=5),
            )
        )
    )
    scale = altair().Scale(domain=[0, 1])
    bands = [
        base.mark_area(color=_ACCENT, opacity=opacity, interpolate="monotone").encode(
            y=altair().Y(f"{low}:Q", title="S", scale=scale), y2=f"{high}:Q"
        )
        for low, high, opacity in (("p10", "p90", 0.16), ("p25", "p75", 0.28))
    ]
    line = base.mark_line(color=_ACCENT, strokeWidth=2.5, point={"filled": True, "size": 35})
    return altair().layer(*bands, line.encode(y=altair().Y("mean:Q", title="S", scale=scale)))


def _costs(curves: Curves, names: Sequence[str]) -> Any:
    height = max(70, min(_HEIGHT, 34 * len(curves.seconds)))
    y = altair().Y("teacher:N", title=None, sort=list(names))
    tokens = (
        altair()
        .Chart(_data(curves.costs), width=_WIDTH - 110, height=height)
        .mark_bar()
        .encode(
            y=y,
            x=altair().X("tokens:Q", title="tokens", axis=altair().Axis(format="~s", tickCount=3)),
            color=_by_author(names, legend=None),
            opacity=altair().Opacity(
                "what:N",
                title=None,
                scale=altair().Scale(domain=["kept", "thrown away"], range=[1, 0.35]),
                legend=altair().Legend(orient="bottom", symbolFillColor="#8c8f99"),
            ),
            order=altair().Order("what:N"),
        )
    )
    seconds = (
        altair()
        .Chart(_data(curves.seconds), width=80, height=height)
        .mark_bar()
        .encode(
            y=altair().Y("teacher:N", title=None, sort=list(names), axis=None),
            x=altair().X(
                "seconds:Q", title="seconds", axis=altair().Axis(format="~s", tickCount=2)
            ),
            color=_by_author(names, legend=None),
        )
    )
    return altair().hconcat(tokens, seconds, spacing=18)


def _difficulty(curves: Curves) -> Any:
    base = (
        altair()
        .Chart(_data(curves.difficulty), width=_WIDTH, height=_HEIGHT)
        .encode(
            x=altair().X(
                "class:O",
                title="class of difficulty, hardest first",
                axis=altair().Axis(labelAngle=0),
            )
        )
    )
    scale, axis = altair().Scale(domain=[0, 1]), altair().Axis(format="%")
    bars = base.mark_bar(color=_ACCENT, opacity=0.75).encode(
        y=altair().Y("accuracy:Q", title="correct", scale=scale, axis=axis)
    )
    rules = base.mark_rule(color="#8c8f99", strokeWidth=2).encode(
        y=altair().Y("low:Q", title="correct", scale=scale, axis=axis), y2="high:Q"
    )
    return altair().layer(bars, rules)
