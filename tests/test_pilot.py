"""A pilot on the demo recipe, held against all of its problems decoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from cord.ensemble import open_ensemble
from cord.estimate import from_pilot
from cord.pilot import drawn, fly
from cord.problems import read_problems
from cord.recipe_file import load_recipe

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.mark.slow
async def test_six_problems_tell_what_sixteen_cost() -> None:
    recipe = load_recipe(RECIPES / "demo.yaml", {"search.width": 2})
    problems = read_problems(recipe.problems, RECIPES).problems[:16]
    ensemble = open_ensemble(recipe, RECIPES)
    pilot = await fly(recipe, ensemble, drawn(problems, 6, seed=1))
    whole = await fly(recipe, ensemble, problems)
    estimate = from_pilot(recipe, pilot, len(problems), seconds=1.0, gpus=None)
    for name in ("ada", "ben", "cyd"):
        paid = sum(one.sampled[name] for one in whole)
        assert estimate.teachers[name].sampled.value == pytest.approx(paid, rel=0.35)
    paid = sum(sum(one.sampled.values()) for one in whole)
    assert estimate.sampled.value == pytest.approx(paid, rel=0.25)
    stored = sum(one.stored_bytes for one in whole)
    assert estimate.storage_bytes.value == pytest.approx(stored, rel=0.25)


def test_a_pilots_problems_are_drawn_once_each_and_the_same_each_time() -> None:
    recipe = load_recipe(RECIPES / "demo.yaml")
    problems = read_problems(recipe.problems, RECIPES).problems
    first = drawn(problems, 8, seed=7)
    assert first == drawn(problems, 8, seed=7) != drawn(problems, 8, seed=8)
    assert len({problem.id for problem in first}) == 8
    assert len(drawn(problems, 10_000, seed=7)) == len(problems)
