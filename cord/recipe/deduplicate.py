"""Which records are duplicates."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from cord.recipe.section import SAFE_NAME, Section

Similarity = Annotated[float, Field(gt=0, le=1, strict=False)]


class DeduplicateSettings(Section):
    """Exact on normalised questions always; near by MinHash at this Jaccard similarity."""

    near: Similarity | None = 0.8
    """null switches the near pass off."""
    trajectories: Similarity | None = 0.9
    """Of one problem's trajectories (`publish: {keep: all}`), those that share so much of their
    word triples are one: at 0.9 they differ by a word here and there, at 0.8 already by a sentence
    or by a step. null: only the same text, but for case and white space."""
    against: tuple[str, ...] = Field(default=(), strict=False)
    """Releases whose questions are not asked again: `NAME` (its newest; when there is a newer one,
    the same recipe is another run) or `NAME@VERSION`. None: a data set that is made again may ask
    what it asked before."""

    @field_validator("against")
    @classmethod
    def _name_releases(cls, against: tuple[str, ...]) -> tuple[str, ...]:
        for release in against:
            name, at, version = release.partition("@")
            if not re.fullmatch(SAFE_NAME, name) or (
                at and not re.fullmatch("[1-9][0-9]*", version)
            ):
                raise ValueError(
                    f"{release!r} names no release; write NAME or NAME@VERSION, as in demo@1"
                )
        return against
