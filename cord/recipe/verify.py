"""How stated answers are judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cord.recipe.section import Section


class VerifySettings(Section):
    """How a stated answer is judged."""

    domain: Literal["math"] = "math"
    time_limit_s: Annotated[float, Field(gt=0, strict=False)] = 5.0
    """For one answer, in a process of its own pool."""


def domain_alone(value: object) -> object:
    """`verify: math` for `verify: {domain: math}`."""
    return {"domain": value} if isinstance(value, str) else value
