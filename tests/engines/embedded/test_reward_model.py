"""The layout of a process reward model: what is written is what is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import Qwen2Config

from cord.engines.embedded import reward_model
from cord.errors import EngineError


def tiny_config() -> Qwen2Config:
    """Small, with a head size that vLLM's attention kernels know."""
    return Qwen2Config(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(5)
    reward_model.save(reward_model.fresh(tiny_config()), tmp_path)
    return tmp_path


def test_what_is_written_is_read_again_to_the_bit(tmp_path: Path) -> None:
    model = reward_model.fresh(tiny_config()).eval()
    reward_model.save(model, tmp_path)
    ids = torch.arange(20)[None]
    assert torch.equal(reward_model.load(tmp_path)(ids).logits, model(ids).logits)


def test_the_layout_is_the_one_that_vllm_goes_by(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForProcessRewardModel"]
    assert config["model_type"] == "qwen2"
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        head = {n: weights.get_slice(n).get_shape() for n in weights.keys() if "score" in n}  # noqa: SIM118
    assert head == {
        "score.0.weight": [64, 64],
        "score.0.bias": [64],
        "score.2.weight": [2, 64],
        "score.2.bias": [2],
    }


def test_the_last_columns_alone_say_the_same(folder: Path) -> None:
    model = reward_model.load(folder)
    ids = torch.arange(20)[None]
    torch.testing.assert_close(model(ids, logits_to_keep=3).logits, model(ids).logits[:, -3:])


def test_another_model_is_refused_with_what_it_is(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": ["Qwen2ForX"]}))
    with pytest.raises(EngineError, match="Qwen2ForX; a process reward model in this process is a"):
        reward_model.load(folder)


def test_weights_without_a_head_are_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = folder / "model.safetensors"
    left = {n: t for n, t in load_file(weights).items() if not n.startswith("score.")}
    save_file(left, weights, metadata={"format": "pt"})
    with pytest.raises(EngineError, match=r"lack 4 of the model's tensors, such as score\.0\.bias"):
        reward_model.load(folder)
