"""The kinds of recipe there are, by the command that each is for."""

from __future__ import annotations

from pathlib import Path

from cord.ablation.recipe import Ablation
from cord.recipe import Recipe
from cord.recipe.section import Section
from cord.recipe_file import command_of, parse_recipe, read_text
from cord.students.recipe import DistillRecipe, EvaluateRecipe

KINDS: dict[str, type[Section]] = {
    "cord run": Recipe,
    "cord distill": DistillRecipe,
    "cord evaluate": EvaluateRecipe,
    "cord ablate": Ablation,
}
"""`cord.recipe_file.MARKS` says by which key a file is told to be which."""


def load_any_recipe(path: str | Path) -> Section:
    """Read and validate a recipe file of whatever kind. Raises `RecipeError`."""
    text = read_text(Path(path))
    return parse_recipe(text, str(path), kind=KINDS[command_of(text, str(path))])
