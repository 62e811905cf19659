"""A recipe: everything that decides what a run makes, as its user writes it in YAML.

Each section is one small frozen model; unknown keys are refused with the nearest valid one.
Validation touches nothing outside (no file, no server). What *identifies* the data (models,
temperatures, search, seed, problems) is kept apart from how the work is *carried out* (`shards`,
`in_flight`, `workers`, `runner`, urls): `cord.plan` fingerprints only the former.

Secrets never stand here: a teacher names the environment variable that holds its key.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from cord.recipe.beside import find_beside
from cord.recipe.models import VLLM_MEMORY_SHARE, Model, ServeSettings, Teacher
from cord.recipe.problems import ProblemSource
from cord.recipe.run import RunSettings
from cord.recipe.search import PathScore, SearchSettings
from cord.recipe.section import SAFE_NAME, Section
from cord.recipe.stages import (
    ContractSettings,
    DeduplicateSettings,
    PublishSettings,
    VerifySettings,
    domain_alone,
)

__all__ = [
    "SAFE_NAME",
    "ContractSettings",
    "DeduplicateSettings",
    "Model",
    "PathScore",
    "ProblemSource",
    "PublishSettings",
    "Recipe",
    "RunSettings",
    "SearchSettings",
    "ServeSettings",
    "Teacher",
    "VerifySettings",
    "find_beside",
]


class Recipe(Section):
    """A whole recipe."""

    name: str = Field(pattern=SAFE_NAME)
    """Also the data set's name in the lake."""
    problems: ProblemSource
    teachers: tuple[Teacher, ...] = Field(strict=False)
    meta_prover: Annotated[str | Model, Field(union_mode="left_to_right")]
    """A teacher's name, or a model of its own."""
    search: SearchSettings = SearchSettings()
    run: RunSettings = RunSettings()
    verify: Annotated[VerifySettings, BeforeValidator(domain_alone)] = VerifySettings()
    deduplicate: DeduplicateSettings = DeduplicateSettings()
    contract: ContractSettings = ContractSettings()
    publish: PublishSettings = PublishSettings()

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if not self.teachers:
            raise ValueError("teachers is empty; give at least one")
        names = [teacher.name for teacher in self.teachers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two teachers are named {name!r}; give each its own name")
        if isinstance(self.meta_prover, str) and self.meta_prover not in names:
            raise ValueError(
                f"meta_prover {self.meta_prover!r} is none of the teachers ({', '.join(names)}); "
                "name one of them, or give a model of its own"
            )
        cued = self.search.segmentation == "reflection-cue"
        if cued and (texts := [t.name for t in self.teachers if t.kind == "openai"]):
            raise ValueError(
                f"search.segmentation is reflection-cue, and teacher {texts[0]} is behind an "
                "OpenAI-compatible endpoint (`engine: openai`), which takes no more than four stop "
                "strings; serve it with vLLM, or cut steps by prompt-guided or line-break"
            )
        scored = self.search.criterion == "predictive-perplexity"
        if scored and self.meta_prover_model.kind == "openai":
            raise ValueError(
                f"{self.meta_prover_model.model} is behind an OpenAI-compatible endpoint "
                "(`engine: openai`), which gives no log-probabilities: it can be a teacher but "
                "cannot score; as meta_prover name a model on a vLLM server, or an embedded one"
            )
        return self

    @model_validator(mode="after")
    def _gpus_hold_their_models(self) -> Self:
        models = [*self.teachers, self.meta_prover_model]
        served = {m.model: m.serve for m in models if m.managed and m.serve is not None}.items()
        for gpu in sorted({gpu for _, serve in served for gpu in serve.gpus}):
            taken = {m: s.memory_share or VLLM_MEMORY_SHARE for m, s in served if gpu in s.gpus}
            if sum(taken.values()) > 1 + 1e-9 and len(taken) > 1:
                each = " and ".join(f"{model} ({share:g})" for model, share in taken.items())
                raise ValueError(
                    f"GPU {gpu} is to hold {each}: more than all of its memory; give each a "
                    "smaller serve.memory_share, or another GPU"
                )
        return self

    @property
    def meta_prover_model(self) -> Model:
        """The model that scores."""
        if isinstance(self.meta_prover, Model):
            return self.meta_prover
        return next(teacher for teacher in self.teachers if teacher.name == self.meta_prover)
