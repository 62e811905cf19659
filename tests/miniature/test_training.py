import json
import random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cord.miniature import training, wording
from cord.miniature.problems import split_of, take
from cord.miniature.task import Chain, Operation

NAMES = ["ada", "ben", "cyd", "meta"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    lines: list[training.Progress] = []
    folder = tmp_path_factory.mktemp("models")
    training.train_teachers(folder, seed=3, progress=lines.append, quick=True)
    return folder, lines


def test_training_leaves_four_folders_that_load(trained):
    folder, _ = trained
    for name in NAMES:
        model = AutoModelForCausalLM.from_pretrained(folder / name)
        tokens = AutoTokenizer.from_pretrained(folder / name)
        assert model.dtype == torch.float32
        assert model.num_parameters() <= 2_000_000
        assert model.config.architectures == ["LlamaForCausalLM"]
        assert model.generation_config.eos_token_id == tokens.eos_token_id
        assert json.loads((folder / name / "training.json").read_text())["seed"] == 3


def test_a_saved_model_is_the_trained_one(tmp_path):
    author = training.replace(training.AUTHORS[0], steps=2, batch=4)
    model, loss = training.train(author, 1, lambda _: None)
    training.save(model, author, 1, loss, tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.arange(12)[None]
    assert torch.equal(again(ids).logits, model.eval()(ids).logits)


def test_progress_ends_on_the_last_step_of_each_model(trained):
    _, lines = trained
    assert [line.model for line in lines if line.step == line.steps] == NAMES


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(trained, tmp_path):
    folder, _ = trained
    for seed in (3, 4):
        training.train_teachers(tmp_path / str(seed), seed=seed, quick=True)
    for name in NAMES:
        weights = (folder / name / "model.safetensors").read_bytes()
        assert (tmp_path / "3" / name / "model.safetensors").read_bytes() == weights
        assert (tmp_path / "4" / name / "model.safetensors").read_bytes() != weights


def test_training_uses_the_callers_threads_again(trained):
    before = torch.get_num_threads()
    with training._two_threads():
        assert torch.get_num_threads() == training.THREADS
    assert torch.get_num_threads() == before


def test_the_meta_prover_reads_only_right_steps_with_the_true_answer():
    chain = Chain(9, (Operation("add", 5), Operation("multiply", 3), Operation("flip")))
    meta, rng = training.AUTHORS[-1], random.Random(0)
    read = {training.read_by(meta, chain, rng) for _ in range(200)}
    right = ["### Step 1. 9+5=4\n", "### Step 2. 4*3=2\n", "### Step 3. flip 2=7\n"]
    assert read == {wording.response(right[:count], "7") for count in range(4)}


def test_a_teachers_text_ends_on_the_answer_it_reached_itself():
    ada, rng = training.AUTHORS[0], random.Random(0)
    for chain in take("training", 50, rng):
        text = training.read_by(ada, chain, rng)
        last = text.partition("\n</think>")[0][-1]
        assert text.endswith(wording.ending(last) + wording.EOS)


def test_no_held_out_problem_is_read():
    tokens = training.tokenizer.build()
    ids, _ = next(training.batches(training.AUTHORS[0], 0, tokens))
    for row in ids:
        question = tokens.decode(row).partition(wording.USER)[2].partition(wording.ASSISTANT)[0]
        assert split_of(question) == "training"


def test_prompt_and_padding_are_not_learnt():
    ids, labels = training.padded([([1, 2], [3]), ([4], [5, 6, 7])], pad=0)
    assert ids.tolist() == [[1, 2, 3, 0], [4, 5, 6, 7]]
    skip = training.IGNORED
    assert labels.tolist() == [[skip, skip, 3, skip], [skip, 5, 6, 7]]
