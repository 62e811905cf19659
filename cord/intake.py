"""What comes in: problems read and screened against the models, and the run they make.

A question that does not fit a model's context is set aside here, before anything is paid for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cord.decontamination.sets import read_sets
from cord.engines import Engine, EngineInfo
from cord.ensemble import Ensemble
from cord.lake import Lake
from cord.lake.releases.release import find_release
from cord.plan import Identity, identify
from cord.problems import read_problems
from cord.recipe import Recipe
from cord.types import Problem, Quarantined

TEMPLATE_TOKENS = 1024
"""More than any chat template and our instructions take: a question of fewer bytes than the
context less this fits for sure (a token is at least a byte) and needs no look at a tokenizer."""
ROOM_FOR_THINKING = 64
"""Tokens that must be left behind the prompt for a first step."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The problems of a run, its engines, and its name."""

    rows: int
    """Rows in the source: problems + quarantined."""
    problems: tuple[Problem, ...]
    quarantined: tuple[Quarantined, ...]
    engines: Mapping[str, EngineInfo]
    identity: Identity


async def take_in(recipe: Recipe, folder: Path, ensemble: Ensemble) -> Intake:
    """Read and screen the problems of a recipe and name the run.

    Raises `ProblemsError` for a source or an evaluation set that cannot be read, `EngineError` for
    a model that cannot be reached."""
    infos = await ensemble.describe()
    # Read before anything is paid for, though it is needed last.
    checked = await asyncio.to_thread(read_sets, recipe.decontaminate.against, folder)
    read = await asyncio.to_thread(read_problems, recipe.problems, folder)
    fitting: list[Problem] = []
    quarantined = list(read.quarantined)
    for problem in read.problems:
        reason = await _too_long(problem, ensemble.writers, infos)
        if reason is None:
            fitting.append(problem)
        else:
            quarantined.append(
                Quarantined(
                    "problems", reason, problem.id, problem.source, problem.question[:10_000]
                )
            )
    hashes = [one.sha256 for one in checked.sets]
    identity = identify(recipe, infos, fitting, quarantined, hashes)
    return Intake(read.rows, tuple(fitting), tuple(quarantined), infos, identity)


def pin_releases(recipe: Recipe, lake: Lake) -> Recipe:
    """The recipe with the releases of `deduplicate.against` named by version, as they are now: a
    newer one makes another run, and a resume holds its records against those the run began with.

    Raises `UsageError` for one that is not there, `LakeError`."""
    labels = tuple(find_release(lake, name).label for name in recipe.deduplicate.against)
    if labels == recipe.deduplicate.against:
        return recipe
    pinned = recipe.deduplicate.model_copy(update={"against": labels})
    return recipe.model_copy(update={"deduplicate": pinned})


async def _too_long(
    problem: Problem, engines: Mapping[str, Engine], infos: Mapping[str, EngineInfo]
) -> str | None:
    size = len(problem.question.encode("utf-8", "replace"))
    for name, engine in engines.items():
        context = infos[name].context
        if size + TEMPLATE_TOKENS <= context:
            continue
        tokens = await engine.prompt_tokens(problem.question)
        if tokens + ROOM_FOR_THINKING > context:
            return (
                f"the question takes {tokens} tokens and {ROOM_FOR_THINKING} must be left for "
                f"thinking; the context of {name} ({infos[name].model}) is {context}"
            )
    return None
