"""Altair's charts as SVG, drawn by vl-convert: without a browser, without a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cord.errors import CordError


def require_drawing() -> None:
    """Raises `CordError` where what draws the pictures is not installed."""
    try:
        import altair  # noqa: F401
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise CordError(
            f"the report's pictures need {error.name}; install cord's dependencies again: make "
            "install"
        ) from None


def altair() -> Any:
    """The library, loaded when a picture is drawn: it takes half a second."""
    import altair

    return altair


def svg(
    chart: Any,
    title: str = "",
    background: str = "white",
    configuration: Mapping[str, Any] | None = None,
) -> str:
    """The chart as SVG, whole in itself, without a frame; `configuration` is Vega-Lite's."""
    drawn = (chart.properties(title=title) if title else chart).to_dict()
    return svg_of(drawn, background, configuration)


def svg_of(
    specification: Mapping[str, Any],
    background: str = "white",
    configuration: Mapping[str, Any] | None = None,
) -> str:
    """The same of a Vega-Lite specification, without Altair: half a second less."""
    import vl_convert

    drawn = {
        **specification,
        "background": background,
        "config": {"view": {"stroke": None}, **(configuration or {})},
    }
    text: str = vl_convert.vegalite_to_svg(drawn)
    return text
