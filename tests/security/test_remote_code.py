"""A model's folder may bring Python of its own (`auto_map`): it is not run."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from cord.engines.embedded.chat_tokenizer import ChatTokenizer
from cord.engines.embedded.weights import load_model, model_folder, read_config
from cord.engines.managed.serving import Serving, serving_of
from cord.errors import EngineError
from cord.recipe import Model


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """One of the small teachers, with code that its configuration asks to be run."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder("cord:ada"), folder)
    mark = tmp_path / "ran"
    (folder / "own.py").write_text(
        f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast\n"
        # Classes of its own: whoever trusts it marks them as custom, for the whole process.
        "class OwnConfig(LlamaConfig): pass\n"
        "class OwnModel(LlamaForCausalLM): pass\n"
        "class OwnTokenizer(PreTrainedTokenizerFast): pass\n"
    )
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config))
    path = folder / "tokenizer_config.json"
    tokenizer = json.loads(path.read_text()) if path.exists() else {}
    tokenizer["auto_map"] = {"AutoTokenizer": ["own.OwnTokenizer", "own.OwnTokenizer"]}
    path.write_text(json.dumps(tokenizer))
    return folder


def test_an_embedded_models_own_code_is_not_run(hostile: Path) -> None:
    """Neither by its configuration nor by its weights or tokenizer."""
    with suppress(EngineError):
        load_model(hostile, read_config(hostile), torch.float32)
    with suppress(EngineError):
        ChatTokenizer.from_folder(hostile, "")
    assert not (hostile.parent / "ran").exists()


def test_it_would_be_run_by_who_trusts_it(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the test above would prove nothing."""
    monkeypatch.setenv("HF_HOME", str(hostile.parent))
    with suppress(Exception):
        AutoConfig.from_pretrained(hostile, local_files_only=True, trust_remote_code=True)
    assert (hostile.parent / "ran").exists()


def test_weights_that_are_pickled_are_refused(hostile: Path) -> None:
    for path in hostile.glob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    with pytest.raises(EngineError, match="no pickled weights"):
        read_config(hostile)


def test_vllm_is_told_to_run_it_only_where_the_recipe_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cord.engines.managed.serving.find_vllm", lambda: "vllm")
    for arguments in ((), ("--dtype", "bfloat16")):
        model = Model.model_validate(
            {"model": "Qwen/QwQ-32B", "serve": {"arguments": list(arguments)}}
        )
        assert not [word for word in _command(model, tmp_path) if "trust" in word]
    named = Model.model_validate(
        {"model": "Qwen/QwQ-32B", "serve": {"arguments": ["--trust-remote-code"]}}
    )
    assert "--trust-remote-code" in _command(named, tmp_path)


def _command(model: Model, folder: Path) -> list[str]:
    serving: Serving = serving_of(model, folder)
    return serving.command(8000)
