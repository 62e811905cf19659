"""What a run is: which bytes identify it, which problems it still has to decode.

Two fingerprints. The *key* of a problem names its search: models, sampling, search settings, seed,
the problem itself. A trajectory in the lake under that key is never decoded again, whichever run
made it; ten more problems in the source cost ten searches. The *run fingerprint* names the whole:
all keys and what is done with them (verification, deduplication, contract, publication).
Shard counts, workers, urls and folders are execution and enter neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cord.engines import EngineInfo
from cord.fingerprint import fingerprint
from cord.recipe import PublishSettings, Recipe, SearchSettings
from cord.recipe.roles import INTEGRATOR, JUDGE, META_PROVER, REWARD_MODEL, SCORERS
from cord.search import ALGORITHM
from cord.types import Problem, Quarantined

_CAME_LATER = ("rank_by", "choose_by", "exploration")
"""Settings that older searches did not have: at their defaults they name the same search."""


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
) -> Identity:
    """Name a run of `recipe` over these problems."""
    search = search_fingerprint(recipe, engines)
    keys = {problem.id: problem_key(search, problem) for problem in problems}
    run = fingerprint(
        {
            "name": recipe.name,
            "keys": sorted(keys.values()),
            "quarantined": sorted(f"{q.stage} {q.source} {q.reason}" for q in quarantined),
            "verify": recipe.verify.model_dump(mode="json"),
            "deduplicate": recipe.deduplicate.model_dump(mode="json"),
            "contract": recipe.contract.model_dump(mode="json"),
            "publish": _publication(recipe.publish),
        }
    )
    return Identity(run, search, keys)


def _publication(publish: PublishSettings) -> dict[str, object]:
    """Without the bound on paths where there is none: older runs knew of none."""
    settings = publish.model_dump(mode="json")
    return settings if publish.path is not None else {"keep": settings["keep"]}


def verdict_key(recipe: Recipe, key: str) -> str:
    """Name the judgement of one problem's trajectories."""
    return fingerprint({"key": key, "verify": recipe.verify.model_dump(mode="json")})
