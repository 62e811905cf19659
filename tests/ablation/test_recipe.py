from pathlib import Path

import pytest

from cord.ablation.cells import base_of, cells_of, recipe_of
from cord.ablation.recipe import Ablation
from cord.errors import RecipeError
from cord.recipe_file import load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
WHOLE = """\
name: two
base: demo.yaml
seeds: [1, 2]
always: {search.max_steps: 20}
variants:
  cord: {}
  greedy: {search.strategy: greedy}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "ablation.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def two(tmp_path: Path) -> Ablation:
    return load_recipe(written(tmp_path, WHOLE), kind=Ablation)


def test_each_variant_with_each_seed_is_a_cell_and_seeds_come_one_after_another(two):
    assert [(cell.variant, cell.seed) for cell in cells_of(two)] == [
        ("cord", 1),
        ("greedy", 1),
        ("cord", 2),
        ("greedy", 2),
    ]


def test_a_cell_is_the_base_with_its_changes(two):
    *_, last = cells_of(two)
    recipe = recipe_of(last, base_of(two, RECIPES))
    assert recipe.name == "two.greedy"
    assert recipe.search.strategy == "greedy"
    assert recipe.search.max_steps == 20
    assert recipe.run.seed == 2
    assert recipe.teachers == load_recipe(RECIPES / "demo.yaml").teachers


def test_a_mistake_in_a_variant_names_it_and_its_field(tmp_path):
    text = WHOLE.replace("search.strategy: greedy", "search.strategi: greedy")
    ablation = load_recipe(written(tmp_path, text), kind=Ablation)
    greedy = next(cell for cell in cells_of(ablation) if cell.variant == "greedy")
    with pytest.raises(RecipeError, match=r"variant greedy: .*search\.strategi.*'strategy'"):
        recipe_of(greedy, base_of(ablation, RECIPES))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("tables: [{title: T, rows: {a: nobody}}]", "names 'nobody', which is no variant"),
        ("tables: [{title: T, paper: none, rows: {a: cord}}]", "there is no table 'none'"),
        ("claims: [{says: it, order: [cord, [greedy, nobody]]}]", "names 'nobody'"),
        ("claims: [{says: it, order: [cord]}]", "claims.0.order"),
        ("pictured: [nobody]", "pictured names 'nobody'"),
        ("students: {recipe: r, evaluate: e, variants: [nobody]}", "names 'nobody'"),
        ("seedz: [1]", "did you mean 'seeds'"),
    ],
)
def test_mistakes_are_said_with_their_place(tmp_path, more, said):
    with pytest.raises(RecipeError, match=said):
        load_recipe(written(tmp_path, WHOLE + more + "\n"), kind=Ablation)


def test_a_seed_twice_is_refused(tmp_path):
    text = WHOLE.replace("[1, 2]", "[1, 1]")
    with pytest.raises(RecipeError, match="seeds holds one twice"):
        load_recipe(written(tmp_path, text), kind=Ablation)


def test_an_ablation_is_not_taken_for_another_kind_of_recipe(tmp_path):
    with pytest.raises(RecipeError, match="this is a recipe for `cord ablate`"):
        load_recipe(written(tmp_path, WHOLE))


def test_every_cell_of_the_shipped_grid_is_a_good_recipe():
    ablation = load_recipe(RECIPES / "ablation-miniature.yaml", kind=Ablation)
    base = base_of(ablation, RECIPES)
    names = {recipe_of(cell, base).name for cell in cells_of(ablation)}
    assert len(names) == len(ablation.variants)
