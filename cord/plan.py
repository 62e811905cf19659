"""What a run is: which bytes identify it, which problems it still has to decode.

Two fingerprints. The *key* of a problem names its search: models, sampling, search settings, seed,
the problem itself. A trajectory in the lake under that key is never decoded again, whichever run
made it; ten more problems in the source cost ten searches. The *run fingerprint* names the whole:
all keys and what is done with them (verification, deduplication, contract, publication).
Shard counts, workers, urls and folders are execution and enter neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cord.engines import EngineInfo
from cord.fingerprint import fingerprint
from cord.recipe import (
    ContractSettings,
    DeduplicateSettings,
    JudgeSettings,
    PublishSettings,
    Recipe,
    SearchSettings,
    VerifySettings,
)
from cord.recipe.roles import ANSWER_JUDGE, INTEGRATOR, JUDGE, META_PROVER, REWARD_MODEL, SCORERS
from cord.search import ALGORITHM
from cord.types import Problem, Quarantined

_CAME_LATER = ("rank_by", "choose_by", "exploration")
"""Settings that older searches did not have: at their defaults they name the same search."""
_FIRST_BOUNDS = {"min_correct", "min_records", "max_record_tokens"}
"""What the contract of older runs bounded."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What names a run and each of its problems."""

    run: str
    """Fingerprint of the whole run."""
    search: str
    """Fingerprint of everything but the problems that decides a trajectory."""
    keys: Mapping[str, str]
    """Problem id to the key of its search."""

    def run_id(self, recipe_name: str) -> str:
        """The run's own name, when the user gives none."""
        return f"{recipe_name}-{self.run[:10]}"


def search_fingerprint(recipe: Recipe, engines: Mapping[str, EngineInfo]) -> str:
    """Name everything that decides a trajectory except the problem.

    `engines` maps each teacher's name, and those of `recipe.roles`, to what its engine says of
    itself. A model that decides nothing here is left out."""
    search = recipe.search.model_dump(mode="json")
    for name in _CAME_LATER:
        if search[name] == SearchSettings.model_fields[name].default:
            del search[name]
    asked = SCORERS.get(recipe.search.criterion)
    later: dict[str, object] = {}
    if asked in (JUDGE, REWARD_MODEL):
        later[asked] = engines[asked].identity
    if (integrator := recipe.integrator_writer) is not None:
        later[INTEGRATOR] = {
            "model": engines[INTEGRATOR].identity,
            "temperature": integrator.temperature,
            "top_p": integrator.top_p,
        }
    return fingerprint(
        {
            **later,
            "algorithm": ALGORITHM,
            "search": search,
            "seed": recipe.run.seed,
            "meta_prover": engines[META_PROVER].identity if asked == META_PROVER else None,
            "teachers": [
                {
                    "name": teacher.name,
                    "model": engines[teacher.name].identity,
                    "temperature": teacher.temperature,
                    "top_p": teacher.top_p,
                }
                for teacher in recipe.teachers
            ],
        }
    )


def problem_key(search: str, problem: Problem) -> str:
    """Name one problem's search."""
    return fingerprint(
        {
            "search": search,
            "id": problem.id,
            "question": problem.question,
            "answers": list(problem.answers),
        }
    )


def identify(
    recipe: Recipe,
    engines: Mapping[str, EngineInfo],
    problems: Iterable[Problem],
    quarantined: Iterable[Quarantined],
    evaluation_sets: Iterable[str] = (),
) -> Identity:
    """Name a run of `recipe` over these problems; `evaluation_sets` are the hashes of those that
    its records are checked against."""
    search = search_fingerprint(recipe, engines)
    keys: dict[str, str] = {}
    later: dict[str, object] = {}
    domains: list[str] = []
    for problem in problems:
        keys[problem.id] = problem_key(search, problem)
        if problem.domain is not None:
            domains.append(f"{problem.id} {problem.domain}")
    if domains:
        later["domains"] = sorted(domains)
    if ANSWER_JUDGE in engines:
        later[ANSWER_JUDGE] = engines[ANSWER_JUDGE].identity
    if sets := sorted(evaluation_sets):
        checked = recipe.decontaminate.model_dump(mode="json", exclude={"against"})
        later["decontaminate"] = {**checked, "sets": sets}
    run = fingerprint(
        {
            **later,
            "name": recipe.name,
            "keys": sorted(keys.values()),
            "quarantined": sorted(f"{q.stage} {q.source} {q.reason}" for q in quarantined),
            "verify": judgement(recipe),
            "deduplicate": _deduplication(recipe.deduplicate),
            "contract": _contract(recipe.contract),
            "publish": _publication(recipe.publish),
        }
    )
    return Identity(run, search, keys)


def _publication(publish: PublishSettings) -> dict[str, object]:
    """Without the bound on paths where there is none: older runs knew of none."""
    settings = publish.model_dump(mode="json")
    return settings if publish.path is not None else {"keep": settings["keep"]}


def _deduplication(deduplicate: DeduplicateSettings) -> dict[str, object]:
    """Settings that older runs did not have, at their defaults, change nothing."""
    settings = deduplicate.model_dump(mode="json")
    for name in ("trajectories", "against"):
        if getattr(deduplicate, name) == DeduplicateSettings.model_fields[name].default:
            del settings[name]
    return settings


def _contract(contract: ContractSettings) -> dict[str, object]:
    """Without the bounds on quality that are not given: older runs knew of none."""
    settings = contract.model_dump(mode="json")
    later = ContractSettings().model_dump(mode="json", exclude=_FIRST_BOUNDS)
    return {n: value for n, value in settings.items() if n not in later or value != later[n]}


def judgement(recipe: Recipe) -> dict[str, object]:
    """What decides verdicts. Settings that older runs did not have, at their defaults, name the
    same judgement; of the judge the model counts, not where it is served."""
    settings = recipe.verify.model_dump(mode="json", exclude={"judge"})
    for name, field in VerifySettings.model_fields.items():
        if name not in ("domain", "time_limit_s") and settings.get(name) == field.default:
            settings.pop(name, None)
    if (model := recipe.answer_judge_model) is not None:
        judge = recipe.verify.judge or JudgeSettings()
        settings["judge"] = {**judge.model_dump(mode="json"), "model": model.model}
    return settings


def verdict_keys(recipe: Recipe) -> Callable[[str, str | None], str]:
    """For many at once: `verdict_key` of one recipe, as a function of (key, domain)."""
    settings = judgement(recipe)

    def name(key: str, domain: str | None) -> str:
        own = settings if domain is None else {**settings, "domain": domain}
        return fingerprint({"key": key, "verify": own})

    return name


def verdict_key(recipe: Recipe, key: str, domain: str | None = None) -> str:
    """Name the judgement of one problem's trajectories, in the problem's own `domain` if it has
    one."""
    return verdict_keys(recipe)(key, domain)
