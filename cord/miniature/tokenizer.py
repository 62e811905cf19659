"""A tokenizer of about three hundred tokens that loses nothing.

Byte-level without merges, so that any text goes through (GSM8K is read by these models too, if
not solved), plus one token for each word of the miniature.  No token spans two steps, or a step's
heading and its body: text cut at those places tokenises to the same ids as the whole, which is
what lets an engine append the ids of a step to the ids of its prefix.  Digits stay single.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from cord.miniature import wording
from cord.prompts import JUDGEMENT_PROBE, JUDGEMENTS, STEP_REWARD_TOKEN, THINK_CLOSE

LONGEST_CONTEXT = 4096
"""Positions that the models claim: rotary embeddings cost nothing, and real questions are long."""

SPECIALS = (
    *(wording.PAD, wording.BOS, wording.EOS, wording.USER, wording.ASSISTANT),
    STEP_REWARD_TOKEN,
)
WORDS = (
    "<think>",
    "</think>",
    wording.STEP,
    "The final answer is \\boxed{",
    "Start",
    " Ann",
    " Bob",
    "flip",
    "; ",
    "\n\n",
    "Wait",
    "Solution ",
    *JUDGEMENTS,
    JUDGEMENT_PROBE.removeprefix(THINK_CLOSE + "\n\n"),
)


def build() -> PreTrainedTokenizerFast:
    """The one tokenizer that all models share."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={char: n for n, char in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(text, special=True) for text in SPECIALS])
    backend.add_tokens([AddedToken(text, normalized=False) for text in WORDS])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        pad_token=wording.PAD,
        bos_token=wording.BOS,
        eos_token=wording.EOS,
        chat_template=wording.CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=LONGEST_CONTEXT,
        model_input_names=["input_ids", "attention_mask"],
        padding_side="left",
    )


def save(tokens: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the files that transformers 4 and 5 both read.

    Version 5 names a class that version 4 does not have; the old name means the same to both.
    """
    tokens.save_pretrained(folder)
    config = folder / "tokenizer_config.json"
    content = json.loads(config.read_text(encoding="utf-8"))
    content["tokenizer_class"] = "PreTrainedTokenizerFast"
    config.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
