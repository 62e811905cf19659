"""How the miniature's teachers and its meta-prover are made: a plain, seeded torch loop.

All four grow from one base that has read flawless solutions, as real reasoning models share much
of their pretraining; then each goes to its own school (`reading.py` says what is taught there).
Learning addition from scratch out of one teacher's guesses took longer than all the rest.

Ten minutes on one core; the same seed and the same torch build give the same weights.
"""

import json
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cord.miniature import tokenizer
from cord.miniature.reading import IGNORED, batches
from cord.miniature.task import FLAWLESS, Kind, Skill

WARM_UP = 40  # steps
TIED = "lm_head.weight"  # the embeddings again

GUESSES = 0.85


@dataclass(frozen=True)
class Author:
    """One model to train: what it reads, and for how long."""

    name: str
    what: str
    skill: Skill
    steps: int
    rate: float
    """The highest learning rate."""
    probed: bool = False
    """Whether it also learns the answer from every prefix."""
    batch: int = 32


def teacher(name: str, kind: Kind) -> Author:
    """A teacher that has mastered one kind of operation."""
    skill = Skill(frozenset({kind}), GUESSES)
    return Author(name, f"a teacher that is good at '{kind}'", skill, steps=250, rate=2e-3)


BASE = Author("base", "the base of all four", FLAWLESS, steps=500, rate=3e-3)
AUTHORS = (
    teacher("ada", "add"),
    teacher("ben", "multiply"),
    teacher("cyd", "flip"),
    Author("meta", "the meta-prover", FLAWLESS, steps=3000, rate=3e-3, probed=True),
)
MODELS = Path(__file__).parent / "models"
"""Where the weights that ship with cord live: one folder an author."""


class Progress(NamedTuple):
    """One line of a training log."""

    model: str
    step: int
    steps: int
    loss: float


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
            initializer_range=0.1,  # one over the root of the width: at 0.02 sums are not learnt
            max_position_embeddings=tokenizer.LONGEST_CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
            pad_token_id=tokens.pad_token_id,
            dtype=torch.float32,
        )
    )


def learning_rate(author: Author, step: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < WARM_UP:
        return author.rate * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, author.steps - WARM_UP)
    return author.rate * 0.5 * (1 + math.cos(math.pi * done))


@contextmanager
def one_thread() -> Iterator[None]:
    """Batches this small gain little from more, lose much on shared cores, and sum otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    model: LlamaForCausalLM, author: Author, seed: int, progress: Callable[[Progress], None]
) -> float:
    """Train in place; returns the loss averaged over the last batches."""
    rng = random.Random(f"{author.name}:{seed}")  # noqa: S311 (seeded, and no secret)
    lessons = batches(author.skill, author.probed, author.batch, rng, tokenizer.build())
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    average = math.nan
    for step in range(author.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(author, step)
        batch = next(lessons)
        logits = model(
            batch.ids, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
        ).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average = loss.item() if step == 0 else 0.95 * average + 0.05 * loss.item()
        if (step + 1) % 25 == 0 or step + 1 == author.steps:
            progress(Progress(author.name, step + 1, author.steps, average))
    return average


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
        "probed": author.probed,
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def train_teachers(
    out: Path, seed: int, progress: Callable[[Progress], None] = lambda _: None, quick: bool = False
) -> None:
    """Train all four into `out`; `quick` takes seconds, and gives models that only babble."""
    with one_thread():
        base = fresh_model(tokenizer.build(), seed)
        for author in (BASE, *AUTHORS):
            chosen = replace(author, steps=3, batch=8) if quick else author
            model = base if author is BASE else deepcopy(base)
            loss = train(model, chosen, seed, progress)
            if author is not BASE:
                save(model, chosen, seed, loss, out / author.name)
