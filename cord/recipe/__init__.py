"""A recipe: everything that decides what a run makes, as its user writes it in YAML.

Each section is one small frozen model; unknown keys are refused with the nearest valid one.
Validation touches nothing outside (no file, no server). What *identifies* the data (models,
temperatures, search, seed, problems) is kept apart from how the work is *carried out* (`shards`,
`in_flight`, `workers`, `runner`, urls): `cord.plan` fingerprints only the former.

Secrets never stand here: a teacher names the environment variable that holds its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from cord.recipe.beside import find_beside
from cord.recipe.contract import ContractSettings, DriftBounds
from cord.recipe.decontaminate import DecontaminateSettings, sets_alone
from cord.recipe.deduplicate import DeduplicateSettings
from cord.recipe.models import VLLM_MEMORY_SHARE, Model, ServeSettings, Teacher, Writer
from cord.recipe.problems import ProblemSource
from cord.recipe.publish import PathBound, PublishSettings
from cord.recipe.roles import ANSWER_JUDGE, INTEGRATOR, JUDGE, META_PROVER, REWARD_MODEL, SCORERS
from cord.recipe.run import RunSettings
from cord.recipe.search import PathScore, SearchSettings
from cord.recipe.section import SAFE_NAME, Section
from cord.recipe.verify import JudgeSettings, VerifySettings, domain_alone

__all__ = [
    "ANSWER_JUDGE",
    "INTEGRATOR",
    "JUDGE",
    "META_PROVER",
    "REWARD_MODEL",
    "SAFE_NAME",
    "ContractSettings",
    "DecontaminateSettings",
    "DeduplicateSettings",
    "DriftBounds",
    "JudgeSettings",
    "Model",
    "PathBound",
    "PathScore",
    "ProblemSource",
    "PublishSettings",
    "Recipe",
    "RunSettings",
    "SearchSettings",
    "ServeSettings",
    "Teacher",
    "VerifySettings",
    "Writer",
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
    judge: Annotated[str | Model | None, Field(union_mode="left_to_right")] = None
    """Who says yes or no (`search.criterion: binary`): a teacher's name, or a model of its own; by
    default the meta-prover."""
    reward_model: Model | None = None
    """Which rewards steps (`search.criterion: process-reward`)."""
    integrator: Annotated[str | Writer | None, Field(union_mode="left_to_right")] = None
    """Who merges whole trajectories (`search.strategy: integration`): a teacher's name, or a model
    of its own; by default the meta-prover."""
    search: SearchSettings = SearchSettings()
    run: RunSettings = RunSettings()
    verify: Annotated[VerifySettings, BeforeValidator(domain_alone)] = VerifySettings()
    deduplicate: DeduplicateSettings = DeduplicateSettings()
    decontaminate: Annotated[DecontaminateSettings, BeforeValidator(sets_alone)] = (
        DecontaminateSettings()
    )
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
        for key in ("meta_prover", "judge", "integrator"):
            named = getattr(self, key)
            if isinstance(named, str) and named not in names:
                raise ValueError(
                    f"{key} {named!r} is none of the teachers ({', '.join(names)}); name one of "
                    "them, or give a model of its own"
                )
        if self.verify.judge is not None:
            named = self.verify.judge.model
            if isinstance(named, str) and named not in names:
                raise ValueError(
                    f"verify.judge.model {named!r} is none of the teachers ({', '.join(names)}); "
                    "name one of them, or give a model of its own"
                )
        if taken := [name for name in names if name in self.roles]:
            raise ValueError(
                f"a teacher is named {taken[0]!r}, as another model of this run is; give it "
                "another name"
            )
        cued = self.search.segmentation == "reflection-cue"
        if cued and (texts := [t.name for t in self.teachers if t.kind == "openai"]):
            raise ValueError(
                f"search.segmentation is reflection-cue, and teacher {texts[0]} is behind an "
                "OpenAI-compatible endpoint (`engine: openai`), which takes no more than four stop "
                "strings; serve it with vLLM, or cut steps by prompt-guided or line-break"
            )
        return self

    @model_validator(mode="after")
    def _asks_what_it_has(self) -> Self:
        if self.name in self.deduplicate.against:
            raise ValueError(
                f"deduplicate.against {self.name!r} is this recipe's own newest release, which "
                "holds what it is to make: every record would be a duplicate; leave it out, or "
                f"name an earlier version, as in {self.name}@1"
            )
        return self

    @model_validator(mode="after")
    def _someone_can_score(self) -> Self:
        criterion = self.search.criterion
        if criterion == "process-reward" and self.reward_model is None:
            raise ValueError(
                "search.criterion is process-reward, and the recipe has no reward_model; add "
                "`reward_model: {model: ...}`, a model that vLLM serves, or an embedded one"
            )
        key = {
            "predictive-perplexity": "meta_prover",
            "binary": "judge" if self.judge is not None else "meta_prover",
            "process-reward": "reward_model",
        }.get(criterion)
        scorer = self.scorer_model
        if key and scorer is not None and scorer.kind == "openai":
            gives = "rewards" if key == "reward_model" else "log-probabilities"
            raise ValueError(
                f"{scorer.model} is behind an OpenAI-compatible endpoint (`engine: openai`), which "
                f"gives no {gives}: it can be a teacher but cannot score; as {key} name a model on "
                "a vLLM server, or an embedded one"
            )
        return self

    @model_validator(mode="after")
    def _gpus_hold_their_models(self) -> Self:
        models = [*self.teachers, *self.roles.values()]
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
        """The model that scores by predictive perplexity."""
        return self._model(self.meta_prover)

    @property
    def scorer_model(self) -> Model | None:
        """The model that the search's criterion asks; None where it asks none."""
        match self.search.criterion:
            case "predictive-perplexity":
                return self.meta_prover_model
            case "binary":
                return self._model(self.judge or self.meta_prover)
            case "process-reward":
                return self.reward_model
            case _:
                return None

    @property
    def integrator_writer(self) -> Writer | None:
        """Who merges whole trajectories, and how it samples; None where none are merged."""
        if self.search.strategy != "integration":
            return None
        model = self._model(self.integrator or self.meta_prover)
        return model if isinstance(model, Writer) else Writer(**dict(model))

    @property
    def answer_judge_model(self) -> Model | None:
        """The model that judges open answers; None where no recipe asks for it."""
        settings = self.verify.judge
        if self.verify.domain != "judge" and settings is None:
            return None
        named = settings.model if settings is not None else None
        return self._model(named or self.judge or self.meta_prover)

    @property
    def roles(self) -> Mapping[str, Model]:
        """The models beside the teachers that this recipe needs, by the names in
        `cord.recipe.roles`."""
        needed = {META_PROVER: self.meta_prover_model}
        if (scorer := self.scorer_model) is not None:
            needed[SCORERS[self.search.criterion]] = scorer
        if (integrator := self.integrator_writer) is not None:
            needed[INTEGRATOR] = integrator
        if (answer_judge := self.answer_judge_model) is not None:
            needed[ANSWER_JUDGE] = answer_judge
        return needed

    def _model(self, named: str | Model) -> Model:
        if isinstance(named, Model):
            return named
        return next(teacher for teacher in self.teachers if teacher.name == named)
