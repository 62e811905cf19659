"""How stated answers are judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cord.recipe.models import Model
from cord.recipe.section import Section
from cord.types import Domain

RUBRIC = (
    "The response is correct when it comes to the same conclusion as the reference answer. Its "
    "wording, order and length do not count; further statements count only where they contradict "
    "the reference. A response that comes to no conclusion is wrong."
)


class JudgeSettings(Section):
    """The model that judges open answers (`domain: judge`), and what it is told."""

    model: Annotated[str | Model | None, Field(union_mode="left_to_right")] = None
    """A teacher's name, or a model of its own; by default the recipe's `judge`, else its
    meta-prover."""
    rubric: str = Field(default=RUBRIC, min_length=1, max_length=20_000)
    """When a response is correct, in words for the model."""
    votes: int = Field(default=3, ge=1, le=99)
    """It is asked so often, each time with a seed of its own; more than half must agree."""
    temperature: Annotated[float, Field(ge=0, le=2, strict=False)] = 0.7
    max_tokens: int = Field(default=2048, ge=16)
    """Of one vote, its reasoning included."""


class VerifySettings(Section):
    """How a stated answer is judged. What is not of its domain has no effect."""

    domain: Domain = "math"
    """For problems that have none of their own (`problems.domain`)."""
    time_limit_s: Annotated[float, Field(gt=0, strict=False)] = 5.0
    """For one answer, in a process of its own pool; for one program, all its tests together."""
    tolerance: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.0
    """numeric: so much of the reference's value a number may be off, 0.01 for one percent."""
    scale: Literal["required", "optional"] = "required"
    """numeric: whether a number without any scale is taken in the reference's (`5` for
    `5 million`)."""
    least_f1: Annotated[float, Field(gt=0, le=1, strict=False)] = 1.0
    """span: from this F1 of words on an answer is correct; 1: only an exact match is."""
    program_memory_mb: int = Field(default=512, ge=64, le=1 << 20)
    """code: address space of one program."""
    judge: JudgeSettings | None = None
    """judge: who judges, and by what rubric."""


def domain_alone(value: object) -> object:
    """`verify: math` for `verify: {domain: math}`."""
    return {"domain": value} if isinstance(value, str) else value
