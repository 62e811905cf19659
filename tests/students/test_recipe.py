"""Recipes of students: what they take, what they refuse, and what they become for accelerate."""

from __future__ import annotations

from pathlib import Path

import pytest

from cord.errors import RecipeError, UsageError
from cord.recipe_file import load_recipe, parse_recipe
from cord.students import launch
from cord.students.recipe import DistillRecipe, EvaluateRecipe, TrainSettings
from cord.students.start import find_start

RECIPES = Path(__file__).parents[2] / "recipes"
DISTILL = """\
name: s
student: cord:ada
data: {release: limo}
train: {epochs: 2, batch: 8}
"""
EVALUATE = """\
name: e
models: [{name: a, model: "cord:ada"}]
benchmarks:
  - {name: b, problems: {path: p.jsonl}, rule: math, samples: 4}
"""


def refused(text: str, kind: type[DistillRecipe] | type[EvaluateRecipe]) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, "r.yaml", kind=kind)
    return str(caught.value)


def test_the_paper_s_student_is_written_with_the_paper_s_figures():
    recipe = load_recipe(RECIPES / "distill-32b.yaml", kind=DistillRecipe)
    train = recipe.train
    assert (train.epochs, train.batch, train.learning_rate) == (5, 8, 5e-6)
    assert (train.schedule, train.max_tokens, train.deepspeed) == ("cosine", 20_480, 3)
    assert recipe.student == "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"
    assert train.launched and train.devices == 8
    paper = TrainSettings()
    assert (paper.epochs, paper.batch, paper.learning_rate) == (5, 8, 5e-6), "and by default"


@pytest.mark.parametrize("size", ["Qwen-14B", "Qwen-7B", "Llama-8B"])
def test_each_of_the_paper_s_students_is_a_line_that_stands_there(size):
    text = (RECIPES / "distill-32b.yaml").read_text("utf-8")
    other = f"student: deepseek-ai/DeepSeek-R1-Distill-{size}"
    assert other in text
    changed = text.replace("\nstudent: deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", f"\n{other}", 1)
    assert parse_recipe(changed, kind=DistillRecipe).student == other.split()[1]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("{release: limo}", "{}", "r.yaml:3: data: data names none of them; give one of release"),
        ("{release: limo}", "{release: limo, run: r}", "data names release and run"),
        ("epochs: 2", "epoch: 2", "r.yaml:4: train.epoch: unknown key; did you mean 'epochs'?"),
        ("epochs: 2", "gpus: 3", "batch 8 cannot be shared by 3 gpus"),
        ("epochs: 2", "at_once: 3", "at_once 3 does not divide the 8 conversations"),
        ("epochs: 2", "offload: true", "offload is DeepSpeed's"),
        ("epochs: 2", "deepspeed: 3, gpus: 0", "deepspeed needs GPUs"),
        ("epochs: 2", "learning_rate: fast", "train.learning_rate: should be a valid number"),
        ("student: cord:ada", "student: ''", "student: String should have at least 1 character"),
        ("name: s", "name: a/b", "r.yaml:1: name"),
    ],
)
def test_a_wrong_training_is_refused_by_line_and_field(old, new, sentence):
    assert sentence in refused(DISTILL.replace(old, new), DistillRecipe)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "name: a,",
            "name: a, engin: vllm,",
            "models.0.engin: unknown key; did you mean 'engine'?",
        ),
        ("rule: math", "rule: maths", "r.yaml:4: benchmarks.0.rule"),
        ("samples: 4", "samples: 0", "benchmarks.0.samples"),
        ('[{name: a, model: "cord:ada"}]', "[]", "models is empty"),
        ("}]", '}, {name: a, model: "cord:ben"}]', "two of models are named 'a'"),
    ],
)
def test_a_wrong_evaluation_is_refused_by_line_and_field(old, new, sentence):
    assert sentence in refused(EVALUATE.replace(old, new), EvaluateRecipe)


def test_a_recipe_of_another_kind_is_told_by_its_command():
    with pytest.raises(RecipeError, match="this is a recipe for `cord distill`"):
        parse_recipe(DISTILL, "r.yaml")
    assert "this is a recipe for `cord evaluate`" in refused(EVALUATE, DistillRecipe)


def test_accelerate_is_told_what_the_recipe_says():
    train = load_recipe(RECIPES / "distill-32b.yaml", kind=DistillRecipe).train
    config = launch.accelerate_config(train.model_copy(update={"offload": True}))
    assert config["distributed_type"] == "DEEPSPEED" and config["num_processes"] == 8
    assert config["mixed_precision"] == "bf16"
    assert config["deepspeed_config"]["zero_stage"] == 3
    assert config["deepspeed_config"]["zero3_save_16bit_model"] is True
    assert config["deepspeed_config"]["offload_optimizer_device"] == "cpu"
    several = launch.accelerate_config(TrainSettings(gpus=4))
    assert several["distributed_type"] == "MULTI_GPU" and several["num_processes"] == 4


def test_a_starting_point_is_found_or_the_way_to_one_is_said(tmp_path):
    assert find_start("cord:ada", tmp_path).folder is not None
    hub = find_start("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", tmp_path, "abc")
    assert hub.folder is None and hub.identity == "hub:deepseek-ai/DeepSeek-R1-Distill-Qwen-7B@abc"
    (tmp_path / "empty").mkdir()
    for name, sentence in (
        ("cord:nobody", "it ships cord:ada"),
        ("./nowhere", "student: no folder"),
        ("nowhere", "student: no folder"),
        ("empty", r"no config\.json"),
    ):
        with pytest.raises(UsageError, match=sentence):
            find_start(name, tmp_path)
    with pytest.raises(UsageError, match="revision is for a model on the hub"):
        find_start(str(find_start("cord:ada", tmp_path).folder), tmp_path, "abc")
