import json
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cord.engines.embedded import reward_model
from cord.miniature import tokenizer, training

NAMES = ["ada", "ben", "cyd", "meta", "judge", "prm", "editor", "student"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    lines: list[training.Progress] = []
    folder = tmp_path_factory.mktemp("models")
    training.train_teachers(folder, seed=3, progress=lines.append, quick=True)
    return folder, lines


def test_training_leaves_folders_that_load(trained):
    folder, _ = trained
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)
    for name in NAMES:
        rewards = name == "prm"
        path = folder / name
        model = reward_model.load(path) if rewards else AutoModelForCausalLM.from_pretrained(path)
        tokens = AutoTokenizer.from_pretrained(path)
        assert model.dtype == torch.float32
        assert model.num_parameters() <= 2_000_000
        written_by = "Qwen2ForProcessRewardModel" if rewards else "LlamaForCausalLM"
        assert model.config.architectures == [written_by]
        assert json.loads((path / "training.json").read_text())["seed"] == 3
        if not rewards:
            assert model.generation_config.eos_token_id == tokens.eos_token_id


def test_a_reward_model_begins_as_the_base_reads():
    base = training.fresh_model(tokenizer.build(), seed=1)
    ids = torch.arange(12)[None]
    read = base.model(ids).last_hidden_state
    assert torch.equal(training.with_rewards(base).model(ids).last_hidden_state, read)


def test_a_saved_model_is_the_trained_one(tmp_path):
    author = replace(training.AUTHORS[0], steps=2, batch=4)
    model = training.fresh_model(tokenizer.build(), seed=1)
    loss = training.train(model, author, 1, lambda _: None)
    training.save(model, author, 1, loss, tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.arange(12)[None]
    assert torch.equal(again(ids).logits, model.eval()(ids).logits)


def test_progress_ends_on_the_last_step_of_the_base_and_of_each_model(trained):
    _, lines = trained
    assert [line.model for line in lines if line.step == line.steps] == ["base", *NAMES]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(trained, tmp_path):
    folder, _ = trained
    for seed in (3, 4):
        training.train_teachers(tmp_path / str(seed), seed=seed, quick=True)
    for name in NAMES:
        weights = (folder / name / "model.safetensors").read_bytes()
        assert (tmp_path / "3" / name / "model.safetensors").read_bytes() == weights
        assert (tmp_path / "4" / name / "model.safetensors").read_bytes() != weights


def test_training_gives_the_caller_its_threads_back():
    before = torch.get_num_threads()
    with training.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
