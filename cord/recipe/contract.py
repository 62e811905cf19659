"""What the data must keep, or nothing is published."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cord.recipe.section import Section


class ContractSettings(Section):
    """Bounds that the data must keep, or nothing is published (exit 3)."""

    min_correct: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.0
    """Least share of the problems read whose kept trajectory is correct."""
    min_records: int = Field(default=1, ge=0)
    max_record_tokens: int | None = Field(default=None, ge=1)
    """Upper bound on a record's sampled tokens; by default the search's `max_tokens`."""
