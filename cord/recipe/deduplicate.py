"""Which records are duplicates."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cord.recipe.section import Section


class DeduplicateSettings(Section):
    """Exact on normalised questions always; near by MinHash at this Jaccard similarity."""

    near: Annotated[float, Field(gt=0, le=1, strict=False)] | None = 0.8
    """null switches the near pass off."""
