"""`cord check --offline`: what can be said of a recipe without asking anybody."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cord.errors import ProblemsError
from flows.command_line.commands import app

RECIPES = Path(__file__).parents[3] / "recipes"


def check(recipe: Path, *options: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["check", str(recipe), "--offline", *options])
    return ran.exit_code, ran.output


@pytest.mark.parametrize("recipe", sorted(path.name for path in RECIPES.glob("*.yaml")))
def test_every_recipe_that_ships_with_cord_holds_offline(recipe: str) -> None:
    code, said = check(RECIPES / recipe)
    assert code == 0 and "is valid" in said, said


def test_local_problems_are_read_and_models_are_only_named(tmp_path: Path) -> None:
    rows = [{"question": "1+1?", "answer": "2"}, {"question": "no answer"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: r\nproblems: {path: p.jsonl}\nmeta_prover: qwq\n"
        "teachers: [{name: qwq, model: Qwen/QwQ-32B, serve: {gpus: [0, 1], tensor_parallel: 2}}]\n"
    )
    code, said = check(recipe, "--json")
    found = json.loads(said)
    assert code == 0 and (found["rows"], found["problems"]) == (2, 1)
    assert [row["source"] for row in found["quarantined"]] == ["p.jsonl:2"]
    assert found["models"]["qwq"]["where"] == "served by cord, GPU 0, 1"


def test_problems_that_lie_elsewhere_are_not_looked_for() -> None:
    code, said = check(RECIPES / "limo.yaml", "--json")
    assert code == 0 and json.loads(said)["rows"] is None


def test_evaluation_sets_on_this_disk_are_read_and_others_named(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n')
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: r\nproblems: {path: p.jsonl}\nmeta_prover: a\n"
        'teachers: [{name: a, model: "cord:ada"}]\ndecontaminate: [aime24, mine.jsonl]\n'
    )
    refused = CliRunner().invoke(app, ["check", str(recipe), "--offline"]).exception
    assert isinstance(refused, ProblemsError) and "set 'mine.jsonl'" in str(refused)
    (tmp_path / "mine.jsonl").write_text('{"question": "What is 1+1?"}\n')
    code, said = check(recipe)
    assert code == 0 and "lie elsewhere were not read: aime24\n" in said


def test_what_a_recipe_will_cost_is_said_beforehand() -> None:
    code, said = check(RECIPES / "limo.yaml", "--json")
    estimate = json.loads(said)["estimate"]
    assert code == 0 and estimate["basis"] == "paper"
    assert estimate["problems"] == 1, "how many there are is not known here"
    assert estimate["gpu_hours"]["value"] == pytest.approx(288.7 * 4 / 3600)
    assert set(estimate["teachers"]) == {"qwq", "r1qwen", "phi4"}
    code, said = check(RECIPES / "demo.yaml")
    assert code == 0 and "estimate, 64 problems" in said and "assumed:" in said


def test_a_pilot_needs_the_models() -> None:
    code, _ = check(RECIPES / "demo.yaml", "--pilot", "4")
    assert code == 1, "offline nobody is asked"
