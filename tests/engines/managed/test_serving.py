"""How a server is called, by what command line, and what its model is called."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engines.managed.a_server import QWQ, serving

import cord
from cord.engines.managed.serving import serving_of
from cord.errors import EngineError
from cord.recipe import Model, Recipe, ServeSettings


def test_a_recipe_entry_becomes_a_command_line(program):
    program("serve")
    made = serving(
        tensor_parallel=2, memory_share=0.85, context=32768, arguments=["--dtype", "bfloat16"]
    )
    line = " ".join(made.command(8123)[1:])
    assert line.startswith(f"serve {QWQ} --served-model-name {QWQ} --host 127.0.0.1 --port 8123 ")
    assert "--tensor-parallel-size 2 --gpu-memory-utilization 0.85 --max-model-len 32768" in line
    assert "--enable-prompt-tokens-details" in line
    assert "--logits-processors cord.engines.vllm.forced_decoding:ForcedDecoding" in line
    assert line.endswith("--dtype bfloat16")
    assert "trust" not in line


def test_what_the_recipe_leaves_open_is_left_to_vllm(program):
    program("serve")
    line = " ".join(serving().command(8123))
    assert "--max-model-len" not in line and "--gpu-memory-utilization" not in line


def test_a_logits_processor_of_the_users_own_is_the_only_one(program):
    program("serve")
    command = serving(arguments=["--logits_processors=my:Own"]).command(8123)
    assert not any("ForcedDecoding" in argument for argument in command)


def test_a_reward_model_is_served_for_pooling_and_decodes_nothing(program):
    program("serve")
    made = serving_of(Model(model="Qwen/Qwen2.5-Math-PRM-7B"), Path("/nowhere"), pooling=True)
    line = made.command(8123)
    assert line[line.index("--runner") + 1] == "pooling"
    assert line[line.index("--pooler-config") + 1] == '{"tok_pooling_type": "ALL"}'
    assert "--logits-processors" not in line
    settings = ServeSettings(arguments=("--pooler-config", '{"step_tag_id": 7}'))
    own = replace(made, settings=settings).command(8123)
    assert own.count("--pooler-config") == 1, "the user's own"


def test_its_python_finds_cord_and_nothing_else_of_ours(program, tmp_path):
    program("serve")
    environment = serving().environment(tmp_path / "python", {"PATH": "/bin"})
    assert environment["PYTHONPATH"] == str(tmp_path / "python")
    (link,) = (tmp_path / "python").iterdir()
    assert link.resolve() == Path(cord.__file__).parent


@pytest.mark.parametrize(
    ("visible", "gpus", "seen"),
    [(None, [2, 3], "2,3"), ("4,5,6,7", [0, 2], "4,6"), ("GPU-a, GPU-b", [1], "GPU-b")],
)
def test_gpus_are_counted_among_those_that_cord_sees(program, tmp_path, visible, gpus, seen):
    program("serve")
    base = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert serving(gpus=gpus).environment(tmp_path, base)["CUDA_VISIBLE_DEVICES"] == seen


def test_a_gpu_that_is_not_there_is_said(program, tmp_path):
    program("serve")
    with pytest.raises(EngineError, match=r"on GPU 2 \(serve.gpus\), but only 2 GPUs are visible"):
        serving(gpus=[2]).environment(tmp_path, {"CUDA_VISIBLE_DEVICES": "4,5"})


def test_a_key_is_asked_for_only_where_the_recipe_names_one(program, tmp_path):
    program("serve")
    base = {"VLLM_API_KEY": "of-another", "MY_KEY": "sesame"}
    assert "VLLM_API_KEY" not in serving().environment(tmp_path, base)
    locked = serving_of(Model(model=QWQ, api_key_env="MY_KEY"), tmp_path)
    assert locked.environment(tmp_path, base)["VLLM_API_KEY"] == "sesame"
    with pytest.raises(EngineError, match=r"MY_KEY .* is not set"):
        locked.environment(tmp_path, {})


def test_a_missing_vllm_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("CORD_VLLM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"pip install 'cord-factory\[vllm\]'.*CORD_VLLM"):
        serving().command(8123)
    monkeypatch.setenv("CORD_VLLM", "/no/such/vllm")
    with pytest.raises(EngineError, match=r"CORD_VLLM names /no/such/vllm"):
        serving().command(8123)


def teacher(name: str, **serve: Any) -> dict[str, Any]:
    return {"name": name, "model": f"org/{name}", "serve": serve}


def recipe_of(*teachers: dict[str, Any]) -> Recipe:
    first = teachers[0]["name"]
    problems = {"path": "p.jsonl"}
    return Recipe.model_validate(
        {"name": "r", "problems": problems, "teachers": teachers, "meta_prover": first}
    )


def test_models_that_share_a_gpu_must_fit_into_it():
    with pytest.raises(ValueError, match=r"GPU 1 is to hold org/a \(0.92\) and org/b \(0.5\)"):
        recipe_of(teacher("a", gpus=[0, 1]), teacher("b", gpus=[1], memory_share=0.5))
    recipe_of(
        teacher("a", gpus=[0], memory_share=0.45),
        teacher("b", gpus=[0], memory_share=0.45),
        teacher("c", gpus=[1]),
    )


@pytest.mark.parametrize(
    ("argument", "remedy"),
    [
        ("--api-key=sesame", "api_key_env"),
        ("--max_model_len", "write it as `context`"),
        ("--port", "leave it out"),
    ],
)
def test_arguments_that_are_cords_own_are_refused(argument, remedy):
    with pytest.raises(ValueError, match=remedy) as refused:
        ServeSettings(arguments=(argument, "8"))
    assert "sesame" not in str(refused.value.errors()[0]["msg"])


def test_a_hub_model_goes_by_its_name_and_by_what_changes_it():
    assert serving(arguments=["--max-num-seqs", "64"]).identity() == f"vllm:{QWQ}"
    pinned = serving(arguments=["--revision", "main", "--max-num-seqs=64", "--dtype=half"])
    assert pinned.identity() == f"vllm:{QWQ} --dtype half --revision main"


def test_a_local_model_goes_by_its_content_wherever_it_is(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place / "m").mkdir(parents=True)
        (tmp_path / place / "m" / "config.json").write_text("{}")
    here, there = (serving_of(Model(model="m"), tmp_path / place) for place in ("here", "there"))
    assert here.place == str(tmp_path / "here" / "m")
    assert here.identity() == there.identity() and str(tmp_path) not in here.identity()
    (tmp_path / "there" / "m" / "config.json").write_text("{ }")
    assert here.identity() != there.identity()


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(EngineError, match=r"no folder \./m"):
        serving_of(Model(model="./m"), tmp_path)
