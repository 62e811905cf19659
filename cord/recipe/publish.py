"""What becomes a record."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cord.recipe.search import PathScore
from cord.recipe.section import Section


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
