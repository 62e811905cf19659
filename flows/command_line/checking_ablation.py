"""`cord check` of an ablation's recipe: every cell's recipe, and its students'."""

from __future__ import annotations

from pathlib import Path

from cord.ablation.recipe import Ablation
from flows.command_line.terminal import print_json, print_table, say


def check_ablation(path: Path, ablation: Ablation, folder: Path, json: bool) -> None:
    """Say what a grid will do. Its base's models and problems are what `cord check` of the base
    itself looks at. Raises `RecipeError` for a mistake in any of its recipes."""
    from cord.ablation.cells import base_of, cells_of, recipe_of

    base = base_of(ablation, folder)
    recipes = {
        cell.variant: recipe_of(cell, base)
        for cell in cells_of(ablation)
        if cell.seed == ablation.seeds[0]
    }
    students = ablation.students
    if students is not None:
        from flows.ablate_students import schooling_of

        schooling_of(students, folder)
    count = len(ablation.variants) * len(ablation.seeds)
    if json:
        shown = {name: recipe.search.model_dump(mode="json") for name, recipe in recipes.items()}
        print_json({"recipe": ablation.name, "cells": count, "variants": shown})
        return
    print_table(
        ("variant", "teachers", "search", "steps end", "chosen by", "ranked by"),
        [
            (
                name,
                ", ".join(teacher.name for teacher in recipe.teachers),
                f"{recipe.search.strategy} {recipe.search.width}",
                recipe.search.segmentation,
                recipe.search.criterion,
                recipe.search.rank_by,
            )
            for name, recipe in recipes.items()
        ],
    )
    taught = 0 if students is None else len(students.variants) * len(ablation.seeds)
    say(
        f"{path} is valid: {len(ablation.variants)} variants of {base.name}, "
        f"{len(ablation.seeds)} seeds, {count} cells, {taught} students; nobody was asked"
    )
