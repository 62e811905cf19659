"""A small random language model in a folder, as the embedded engine loads it."""

from pathlib import Path

import pytest
import torch
from random_models import SPECIALS, byte_level_tokenizer, write_random_reward_model
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


@pytest.fixture(scope="session")
def random_tokenizer() -> PreTrainedTokenizerFast:
    return byte_level_tokenizer(SPECIALS)


@pytest.fixture(scope="session")
def random_model(
    random_tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a random Llama whose next tokens are neither certain nor uniform. Its output
    is padded beyond the vocabulary, as large models' are."""
    folder = tmp_path_factory.mktemp("random-model")
    random_tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=352,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.25,
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def random_reward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random process reward model."""
    return write_random_reward_model(tmp_path_factory.mktemp("models") / "random-reward")
