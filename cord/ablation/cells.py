"""The cells of a grid: each variant with each seed, a recipe and so a run of its own.

Cells are named by what they are, not by where they stand: what a lake has of a grid, or of any
other run of the same search, is not made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cord.ablation.recipe import Ablation
from cord.errors import RecipeError
from cord.recipe import Recipe, find_beside
from cord.recipe_file import load_recipe


@dataclass(frozen=True, slots=True)
class Cell:
    """One variant with one seed."""

    variant: str
    seed: int
    changes: Mapping[str, object]
    """What it changes in the base recipe, seed and name included."""

    @property
    def title(self) -> str:
        """`greedy, seed 2`."""
        return f"{self.variant}, seed {self.seed}"


def cells_of(ablation: Ablation) -> Iterator[Cell]:
    """Seed by seed, so that an interrupted grid has whole columns."""
    for seed in ablation.seeds:
        for variant, changes in ablation.variants.items():
            name = f"{ablation.name}.{variant}"
            named = {**ablation.always, **changes, "run.seed": seed, "name": name}
            yield Cell(variant, seed, named)


def base_of(ablation: Ablation, folder: Path) -> Path:
    """The file of the recipe that is varied."""
    return Path(find_beside(ablation.base, folder))


def recipe_of(cell: Cell, base: Path) -> Recipe:
    """The cell's recipe. Raises `RecipeError` naming the variant."""
    try:
        return load_recipe(base, cell.changes)
    except RecipeError as error:
        raise RecipeError(f"variant {cell.variant}: {error}") from None
