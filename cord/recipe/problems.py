"""Where problems come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cord.recipe.section import Section, without_secret


class ProblemSource(Section):
    """Where the problems are, and which columns they use."""

    source: Literal["auto", "jsonl", "parquet", "hf"] = "auto"
    """`auto` goes by the path's ending; `hf` is a name on the Hugging Face hub."""
    path: Annotated[
        str, BeforeValidator(lambda v: without_secret(v) if isinstance(v, str) else v)
    ] = Field(min_length=1)
    """File, folder, `s3://bucket/key` or hub name. Relative to the recipe, then to the
    working folder."""
    split: str = "train"
    """For hub data sets."""
    subset: str | None = Field(default=None, min_length=1)
    """Of a hub data set that has several (its configuration): `pqa_labeled` of PubMedQA."""
    id: str | None = None
    """Column with the problem's id; without it `id` where there is one, else a hash of the
    question."""
    question: str = "question"
    answer: str = "answer"
    answer_rule: Literal["as-is", "gsm8k", "boxed"] = "as-is"
    """How the answer is taken out of its column: whole, behind `####`, or from `\\boxed{}`."""
    domain: str | None = Field(default=None, min_length=1)
    """Column with what kind of answer a problem has (`math`, `span` ...), where they differ; a row
    that leaves it empty is judged by `verify.domain`."""
    licence: str | None = Field(default=None, min_length=1, max_length=200)
    """What their makers allow, `mit`; stated on the data card, and decides nothing."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first so many rows."""

    @property
    def local(self) -> bool:
        """Whether it lies on this machine's disk."""
        return self.source != "hf" and "://" not in self.path
