"""A small Llama that writes long, step-like text: work for a server, not a mathematician.

The shipped miniatures write solutions of some 60 tokens, too short to see a prefix cache in. This
model's weights are drawn, not trained, and shaped so that what it samples looks like reasoning to
a scheduler: words, a new line, the next `### Step`, never an end. The length of a step is
geometric, so its spread (standard deviation over mean, 1) is that of the log-normal lengths that
real reasoning models write (0.95, facts.md's workload); where a step ends depends on nothing, so
every way of searching meets the same lengths.

How: the residual stream carries a constant (a bias for each token) and a flag behind a new line,
which no layer writes to; all other dimensions are random, so that log-probabilities depend on
all of the prefix. Every text that it can write has one spelling in its tokens: text that is
tokenised anew is the ids that were sampled, which favours those who send text.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = 500
CONTEXT = 4096
WIDTH, LAYERS, HEADS, KEY_VALUE_HEADS = 192, 4, 6, 2

_SPECIALS = ("<|pad|>", "<|bos|>", "<|eos|>", "<|system|>", "<|user|>", "<|assistant|>")
_MARKS = ("<think>", "</think>", "### Step", "The final answer is \\boxed{", "\n\n")
_NEVER = -40.0
_DIGIT = -3.0  # as likely as a word, times e^-3
_BIAS, _FLAG = 0, 1  # dimensions
# So many times the spread of all random dimensions together: a normalised stream then holds about
# the same constant whatever the prefix.
_CONSTANT = 12.0
_NEWLINE = "\u010a"  # as byte-level vocabularies spell it
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for m in messages %}"
    "{% if m['role'] == 'assistant' %}{{ '<|assistant|><think>\n' + m['content'] + eos_token }}"
    "{% else %}{{ '<|' + m['role'] + '|>' + m['content'] }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|><think>\n' }}{% endif %}"
)


def chat(system: str, user: str) -> str:
    """What `CHAT_TEMPLATE` renders in front of the first step, for clients that send text."""
    return f"<|bos|><|system|>{system}<|user|>{user}<|assistant|><think>\n"


def words() -> tuple[str, ...]:
    """All words, each with the blank in front of it: none begins another."""
    sounds = itertools.product("bdfgklmnprstvz", "aeiou", "bdklmnrst")
    return tuple(" " + "".join(letters) for letters in itertools.islice(sounds, WORDS))


def write_text(count: int, seed: int) -> str:
    """`count` words, `count` tokens."""
    return "".join(random.Random(seed).choices(words(), k=count))


def save_long_model(folder: Path, mean_step: int, seed: int = 7) -> Path:
    """Write model and tokenizer into `folder`; steps have `mean_step` tokens at temperature 1."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = _tokenizer()
    vocabulary = tokens.get_vocab()
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_VALUE_HEADS,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=vocabulary["<|bos|>"],
        eos_token_id=vocabulary["<|eos|>"],
        pad_token_id=vocabulary["<|pad|>"],
        architectures=["LlamaForCausalLM"],
        dtype="float32",
    )
    tokens.save_pretrained(folder)
    named = folder / "tokenizer_config.json"
    content = json.loads(named.read_text(encoding="utf-8"))
    content["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers 4 knows
    named.write_text(json.dumps(content), encoding="utf-8")
    config.save_pretrained(folder)
    model = LlamaForCausalLM(config)
    model.load_state_dict(_weights(vocabulary, seed))
    _set_step_length(model, tokens, mean_step)
    model.save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: n for n, char in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(text, special=True) for text in _SPECIALS])
    backend.add_tokens([AddedToken(text, normalized=False) for text in (*_MARKS, *words())])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        bos_token="<|bos|>",
        eos_token="<|eos|>",
        pad_token="<|pad|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
    )


def _weights(vocabulary: dict[str, int], seed: int) -> dict[str, torch.Tensor]:
    """All tensors, drawn and shaped."""
    draw = torch.Generator().manual_seed(seed)

    def random_matrix(rows: int, columns: int, scale: float) -> torch.Tensor:
        return torch.randn(rows, columns, generator=draw) * scale

    size, constant = len(vocabulary), _CONSTANT * math.sqrt(WIDTH)
    embedding = random_matrix(size, WIDTH, 1.0)
    embedding[:, _BIAS], embedding[:, _FLAG] = constant, 0.0
    embedding[vocabulary[_NEWLINE], _FLAG] = constant

    bias = torch.full((size,), _NEVER)
    bias[[vocabulary[word] for word in words()]] = 0.0
    bias[[vocabulary[digit] for digit in "0123456789"]] = _DIGIT
    head = random_matrix(size, WIDTH, 0.6)
    header = vocabulary["### Step"]
    head[vocabulary[_NEWLINE]], head[header] = 0.0, 0.0  # a step's length depends on nothing
    head[:, _BIAS] = bias / math.sqrt(WIDTH)  # the normalised constant is about sqrt(WIDTH)
    head[header, _FLAG] = -3 * _NEVER / math.sqrt(WIDTH)

    weights = {"model.embed_tokens.weight": embedding, "lm_head.weight": head}
    weights["model.norm.weight"] = torch.ones(WIDTH)
    key_value = WIDTH * KEY_VALUE_HEADS // HEADS
    shapes = {
        "self_attn.q_proj": (WIDTH, WIDTH, 1.5),  # sharp attention: a few places matter, not all
        "self_attn.k_proj": (key_value, WIDTH, 1.5),
        "self_attn.v_proj": (key_value, WIDTH, 1.0),
        "self_attn.o_proj": (WIDTH, WIDTH, 0.5),
        "mlp.gate_proj": (3 * WIDTH, WIDTH, 1.0),
        "mlp.up_proj": (3 * WIDTH, WIDTH, 1.0),
        "mlp.down_proj": (WIDTH, 3 * WIDTH, 0.5),
    }
    for layer in range(LAYERS):
        for name, (rows, columns, scale) in shapes.items():
            matrix = random_matrix(rows, columns, scale / math.sqrt(columns))
            if name.endswith(("o_proj", "down_proj")):
                matrix[[_BIAS, _FLAG]] = 0.0
            else:
                matrix[:, [_BIAS, _FLAG]] = 0.0
            weights[f"model.layers.{layer}.{name}.weight"] = matrix
        for norm in ("input_layernorm", "post_attention_layernorm"):
            # Brings the random part back to 1 from beside its large constant.
            weights[f"model.layers.{layer}.{norm}.weight"] = torch.full((WIDTH,), _CONSTANT)
    return weights


@torch.no_grad()
def _set_step_length(
    model: LlamaForCausalLM, tokens: PreTrainedTokenizerFast, mean_step: int
) -> None:
    """Give a new line the odds, among the words that the model would write, of a step's end."""
    newline = tokens.get_vocab()[_NEWLINE]
    ids = [tokens.encode(write_text(512, seed), add_special_tokens=False) for seed in range(4)]
    text = torch.tensor(ids)
    others = model(text).logits[:, 64:].float()
    others[..., newline] = -math.inf
    log_odds = others.logsumexp(-1).mean() - math.log(mean_step - 1)
    model.lm_head.weight[newline, _BIAS] = log_odds / math.sqrt(WIDTH)
