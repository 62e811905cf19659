"""What is done with trajectories: judged, deduplicated, held to a contract, published."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cord.recipe.search import PathScore
from cord.recipe.section import Section


class VerifySettings(Section):
    """How a stated answer is judged."""

    domain: Literal["math"] = "math"
    time_limit_s: Annotated[float, Field(gt=0, strict=False)] = 5.0
    """For one answer, in a process of its own pool."""


def domain_alone(value: object) -> object:
    """`verify: math` for `verify: {domain: math}`."""
    return {"domain": value} if isinstance(value, str) else value


class DeduplicateSettings(Section):
    """Exact on normalised questions always; near by MinHash at this Jaccard similarity."""

    near: Annotated[float, Field(gt=0, le=1, strict=False)] | None = 0.8
    """null switches the near pass off."""


class ContractSettings(Section):
    """Bounds that the data must keep, or nothing is published (exit 3)."""

    min_correct: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.0
    """Least share of the problems read whose kept trajectory is correct."""
    min_records: int = Field(default=1, ge=0)
    max_record_tokens: int | None = Field(default=None, ge=1)
    """Upper bound on a record's sampled tokens; by default the search's `max_tokens`."""


class PathBound(Section):
    """The least that a record's whole path must be worth."""

    by: PathScore = "mean"
    """How the scores along the path make one value (`cord.path_score`)."""
    at_least: Annotated[float, Field(ge=0, le=1, strict=False)]
    """Least value, 0 to 1: by `mean`, the geometric mean of the scores behind the steps."""


class PublishSettings(Section):
    """What becomes a record."""

    keep: Literal["best", "all"] = "best"
    """`best`: the best-scored trajectory of a problem, if it is correct. `all`: every correct
    trajectory of the last beam."""
    path: PathBound | None = None
    """Correct trajectories whose path is worth less are no records. None: all are (the paper's)."""
