"""An ablation as its user writes it: a recipe, what is changed in it, and what is compared."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cord.ablation.paper import PAPER
from cord.recipe.section import SAFE_NAME, Section

Changes = dict[str, Any]
"""Fields of the base recipe, dotted: `{search.strategy: greedy, search.width: 1}`."""

Group = Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
Measure = Literal["accuracy", "score", "fidelity"]


class ComparisonTable(Section):
    """One table of the report."""

    title: str = Field(min_length=1)
    paper: str | None = None
    """Whose figures stand beside ours: a table of `cord.ablation.paper`."""
    rows: dict[str, str] = Field(min_length=1)
    """What each row is called, in the paper's words where it has it, to the variant."""

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.paper is not None and self.paper not in PAPER:
            raise ValueError(f"there is no table {self.paper!r}; there are {', '.join(PAPER)}")
        return self


class Claim(Section):
    """An order that the paper states, to be held against our figures."""

    says: str = Field(min_length=1)
    measure: Measure = "accuracy"
    order: tuple[str | Group, ...] = Field(min_length=2, strict=False)
    """Variants, the best first. Of a list in it the best counts: `[curation, [ada, ben, cyd]]`."""
    by: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.0
    """How far each must be above the next."""

    @property
    def named(self) -> list[str]:
        """Every variant in it."""
        return [n for each in self.order for n in ([each] if isinstance(each, str) else each)]


class StudentGrid(Section):
    """Students from one starting point on the data of several variants."""

    recipe: str = Field(min_length=1)
    """A `cord distill` recipe, beside this one: the student and how it is trained."""
    evaluate: str = Field(min_length=1)
    """A `cord evaluate` recipe, beside this one: the problems and how often each is sampled."""
    variants: tuple[str, ...] = Field(min_length=1, strict=False)
    """On whose kept trajectories one is trained, for each seed."""
    records: int | None = Field(default=None, ge=1)
    """So many of each; by default as many as the variant with the fewest has."""


class Ablation(Section):
    """A grid of variants and seeds."""

    name: str = Field(pattern=SAFE_NAME, max_length=60)
    base: str = Field(min_length=1)
    """The recipe that is varied, beside this one."""
    seeds: tuple[int, ...] = Field(min_length=1, strict=False)
    always: Changes = Field(default={})
    """Made in every variant."""
    variants: dict[str, Changes] = Field(min_length=1)
    """What is changed in each, by name; `{}` is the base."""
    at_once: int = Field(default=1, ge=1, le=64)
    """Processes that go through the grid side by side. Worth more than one where the models are
    cord's own and it has more cores than one process fills; servers are busy with one."""
    fidelity: Literal["miniature"] | None = None
    """Whose steps can be checked one by one; then step fidelity is measured."""
    tables: tuple[ComparisonTable, ...] = Field(default=(), strict=False)
    claims: tuple[Claim, ...] = Field(default=(), strict=False)
    pictured: tuple[str, ...] = Field(default=(), strict=False)
    """Variants whose teachers and scores are drawn by progress."""
    students: StudentGrid | None = None

    @model_validator(mode="after")
    def _names_are_variants(self) -> Self:
        used = [
            *(("tables", name) for table in self.tables for name in table.rows.values()),
            *(("claims", name) for claim in self.claims for name in claim.named),
            *(("pictured", name) for name in self.pictured),
            *(("students.variants", n) for n in (self.students.variants if self.students else ())),
        ]
        for where, name in used:
            if name not in self.variants:
                raise ValueError(
                    f"{where} names {name!r}, which is no variant; there are "
                    f"{', '.join(self.variants)}"
                )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds holds one twice; give each once")
        return self
