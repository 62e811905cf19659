"""How the miniature's teachers and its meta-prover are made: a plain, seeded torch loop.

A teacher reads whole solutions, right on the kind of operation it has mastered and partly guessed
on the others, so that it is honestly unsure there.  The meta-prover reads right solutions only,
most of them cut after a few steps and closed with the probe and the true answer: it learns to
finish a chain in its head from wherever the prefix stands.  It must never see the true answer
behind a wrong step, or it would learn to ignore the steps that it is there to judge.

Minutes on two cores; the same seed and the same torch build give the same weights.
"""

import json
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cord.miniature import tokenizer, wording
from cord.miniature.problems import chains
from cord.miniature.task import FLAWLESS, Chain, Skill, stated_value, steps

THREADS = 2
BATCH = 128
POOL = 8  # batches that are drawn together and sorted by length, so that little is padding
PEAK_RATE = 3e-3
WARM_UP = 40
IGNORED = -100  # the label that cross entropy leaves out

TIED = "lm_head.weight"  # the embeddings again

GUESSES = 0.55


@dataclass(frozen=True)
class Author:
    """One model to train: what it reads, and for how long."""

    name: str
    what: str
    skill: Skill
    steps: int
    cut: float = 0.0
    """The share of its texts that are closed early with the true answer."""
    batch: int = BATCH


AUTHORS = (
    Author("ada", "a teacher that can add", Skill(frozenset({"add"}), GUESSES), 450),
    Author("ben", "a teacher that can multiply", Skill(frozenset({"multiply"}), GUESSES), 450),
    Author("cyd", "a teacher that can flip", Skill(frozenset({"flip"}), GUESSES), 450),
    Author("meta", "the meta-prover", FLAWLESS, 1350, cut=0.7),
)
MODELS = Path(__file__).parent / "models"
"""Where the weights that ship with cord live: one folder an author."""


class Progress(NamedTuple):
    """One line of a training log."""

    model: str
    step: int
    steps: int
    loss: float


def read_by(author: Author, chain: Chain, rng: random.Random) -> str:
    """One training text behind the prompt."""
    written = steps(chain, author.skill, rng)
    if rng.random() < author.cut:
        return wording.response(written[: rng.randint(0, len(written))], chain.answer)
    return wording.response(written, stated_value(written[-1]))


def batches(
    author: Author, seed: int, tokens: PreTrainedTokenizerFast
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless (ids, labels), texts of like length together."""
    rng = random.Random(f"{author.name}:{seed}")  # noqa: S311
    source = chains("training", rng)
    while True:
        problems = [next(source) for _ in range(POOL * author.batch)]
        prompts = tokens([wording.prompt(p.question) for p in problems])["input_ids"]
        responses = tokens([read_by(author, p, rng) for p in problems])["input_ids"]
        texts = sorted(
            zip(prompts, responses, strict=True), key=lambda text: len(text[0] + text[1])
        )
        starts = list(range(0, len(texts), author.batch))
        rng.shuffle(starts)
        for start in starts:
            yield padded(texts[start : start + author.batch], tokens.pad_token_id)


def padded(texts: list[tuple[list[int], list[int]]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, labels) of [prompt, response] pairs, padded on the right; the prompt is not learnt."""
    shape = len(texts), max(len(prompt + response) for prompt, response in texts)
    ids, labels = torch.full(shape, pad), torch.full(shape, IGNORED)
    for row, (prompt, response) in enumerate(texts):
        end = len(prompt) + len(response)
        ids[row, :end] = torch.tensor(prompt + response)
        labels[row, len(prompt) : end] = torch.tensor(response)
    return ids, labels


def fresh_model(tokens: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A small Llama whose head size is one that vLLM's attention kernels know."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            architectures=["LlamaForCausalLM"],  # vLLM goes by it
            vocab_size=len(tokens),
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=3,
            head_dim=32,
            max_position_embeddings=tokenizer.LONGEST_CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
            pad_token_id=tokens.pad_token_id,
            dtype=torch.float32,
        )
    )


def learning_rate(step: int, of: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    return PEAK_RATE * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, of - WARM_UP)))


@contextmanager
def _two_threads() -> Iterator[None]:
    """As many threads as the figures were made with: sums depend on how they are split."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    author: Author, seed: int, progress: Callable[[Progress], None]
) -> tuple[LlamaForCausalLM, float]:
    """One model, and its loss averaged over the last batches."""
    tokens = tokenizer.build()
    model = fresh_model(tokens, seed)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    source, loss_now = batches(author, seed, tokens), math.nan
    for step in range(author.steps):
        ids, labels = next(source)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, author.steps)
        logits = model(ids, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss_now = loss.item() if step == 0 else 0.95 * loss_now + 0.05 * loss.item()
        if (step + 1) % 25 == 0 or step + 1 == author.steps:
            progress(Progress(author.name, step + 1, author.steps, loss_now))
    return model, loss_now


def save(model: LlamaForCausalLM, author: Author, seed: int, loss: float, folder: Path) -> None:
    """A folder that transformers and vLLM load as it is."""
    tokens = tokenizer.build()
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    weights = {name: tensor for name, tensor in model.state_dict().items() if name != TIED}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(tokens, folder)
    GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    ).save_pretrained(folder)
    record = {
        "what": f"{author.what}, of cord's miniature",
        "seed": seed,
        "steps": author.steps,
        "batch": author.batch,
        "loss": round(loss, 4),
        "parameters": sum(p.numel() for p in model.parameters()),
        "mastered": sorted(author.skill.mastered),
        "guesses": author.skill.guesses,
        "cut": author.cut,
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def train_teachers(
    out: Path, seed: int, progress: Callable[[Progress], None] = lambda _: None, quick: bool = False
) -> None:
    """Train all four into `out`; `quick` takes seconds, and gives models that only babble."""
    with _two_threads():
        for author in AUTHORS:
            chosen = replace(author, steps=3, batch=8) if quick else author
            model, loss = train(chosen, seed, progress)
            save(model, chosen, seed, loss, out / author.name)
