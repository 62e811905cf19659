"""Against which evaluation sets records are checked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from cord.recipe.section import Section, without_secret


class DecontaminateSettings(Section):
    """Records that share so many words in a row with an evaluation set are set aside."""

    against: tuple[str, ...] = Field(default=(), strict=False)
    """Sets by name (`cord.decontamination.sets`), files (`.jsonl`, `.jsonl.gz`, `.parquet`,
    `.txt`) relative to the recipe, or hub names (`hf:HuggingFaceH4/MATH-500`); `#COLUMN` behind
    one names the column of its items. None: not checked."""
    words: Literal[8, 13] = 13
    """Length of the n-grams."""
    within: tuple[Literal["question", "response"], ...] = Field(
        default=("question", "response"), min_length=1, strict=False
    )
    """What of a record is looked at."""

    @field_validator("against")
    @classmethod
    def _no_secret(cls, against: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(without_secret(one) for one in against)


def sets_alone(value: object) -> object:
    """`decontaminate: [aime24, math500]` for `decontaminate: {against: [...]}`."""
    return {"against": value} if isinstance(value, list | tuple) else value
