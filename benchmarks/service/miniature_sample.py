"""A sample of problems searched by the miniature's own models, timed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from cord.ensemble import open_ensemble
from cord.miniature.problems import distinct
from cord.recipe_file import load_recipe
from cord.scheduler import decode_problems
from cord.types import Problem

WARM = 8
RECIPES = Path(__file__).parents[2] / "recipes"


def seconds_of(sample: int, in_flight: int, clock: Callable[[], float]) -> float:
    """Seconds, by `clock`, that so many problems of `recipes/demo.yaml` take, models warm."""
    recipe = load_recipe(RECIPES / "demo.yaml", {})
    ensemble = open_ensemble(recipe, RECIPES)
    made = distinct("demo", WARM + sample, seed=11)
    problems = [Problem(f"p{i}", one.question, one.answer) for i, one in enumerate(made)]

    async def decode(some: list[Problem]) -> None:
        asked = (some, ensemble.teachers, ensemble.criterion, recipe.search, 7)
        async for _ in decode_problems(*asked, in_flight=in_flight):
            pass

    asyncio.run(decode(problems[:WARM]))
    begun = clock()
    asyncio.run(decode(problems[WARM:]))
    return clock() - begun
