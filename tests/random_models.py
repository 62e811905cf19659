"""Small random models in folders, as cord's embedded engines and vLLM load them."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config

from cord.engines.embedded import reward_model
from cord.prompts import STEP_REWARD_TOKEN

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] | trim }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIALS = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
TEXTS = [
    "<think>\n### Step 1. first we add the numbers\n3+4=7, so wait\n\n### Step 2. then we stop\n",
    "</think>\n\nThe final answer is \\boxed{42}. Zwölf Äpfel, 七つのりんご, naïve café",
]


def byte_level_tokenizer(specials: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE with merges that run across the places where steps are cut."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        TEXTS * 3,
        trainers.BpeTrainer(
            vocab_size=340,
            show_progress=False,
            special_tokens=[AddedToken(text, special=True) for text in specials],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", chat_template=TEMPLATE
    )


def write_random_reward_model(folder: Path) -> Path:
    """A process reward model whose rewards differ from prefix to prefix."""
    byte_level_tokenizer([*SPECIALS, STEP_REWARD_TOKEN]).save_pretrained(folder)
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=352,
        hidden_size=64,  # two heads of a size that vLLM's attention kernels know
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.25,
        eos_token_id=0,
    )
    reward_model.save(reward_model.fresh(config), folder)
    return folder
