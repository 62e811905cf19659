"""How the miniature's models are made: a plain, seeded torch loop.

All grow from one base that has read flawless solutions, as real reasoning models share much
of their pretraining; then each goes to its own school (`lessons.py` says what is taught there).
Learning addition from scratch out of one teacher's guesses took longer than all the rest.

Forty minutes on one core; the same seed and the same torch build give the same weights.
"""

import json
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from safetensors.torch import save_file
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from cord.engines.embedded.reward_model import Qwen2ForProcessRewardModel, fresh
from cord.miniature import lessons, tokenizer
from cord.miniature.reading import IGNORED, Teach, batches
from cord.miniature.task import FLAWLESS, Kind, Skill

WARM_UP = 40  # steps
TIED = "lm_head.weight"  # the embeddings again
SHARED = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"),
    *("num_attention_heads", "num_key_value_heads", "initializer_range", "rms_norm_eps"),
    *("max_position_embeddings", "tie_word_embeddings", "rope_parameters"),
    *("bos_token_id", "eos_token_id", "pad_token_id"),
)
"""What a reward model has of its base's configuration."""

GUESSES = 0.85
School = Literal["writing", "proving", "judging", "rewarding", "merging"]
Model = LlamaForCausalLM | Qwen2ForProcessRewardModel


@dataclass(frozen=True)
class Author:
    """One model to train: what it reads, and for how long."""

    name: str
    what: str
    skill: Skill
    steps: int
    rate: float
    """The highest learning rate."""
    school: School = "writing"
    batch: int = 32

    def teach(self, tokens: PreTrainedTokenizerFast) -> Teach:
        """How its lessons are made."""
        if self.school == "proving":
            return lessons.proving(tokens)
        if self.school == "judging":
            return lessons.judging(tokens)
        if self.school == "rewarding":
            return lessons.rewarding(tokens)
        if self.school == "merging":
            return lessons.merging([teacher.skill for teacher in TEACHERS], tokens)
        return lessons.writing(self.skill, tokens)


def teacher(name: str, kind: Kind) -> Author:
    """A teacher that has mastered one kind of operation."""
    skill = Skill(frozenset({kind}), GUESSES)
    return Author(name, f"a teacher that is good at '{kind}'", skill, steps=250, rate=2e-3)


BASE = Author("base", "the base of all", FLAWLESS, steps=500, rate=3e-3)
TEACHERS = (teacher("ada", "add"), teacher("ben", "multiply"), teacher("cyd", "flip"))
NOVICE = Skill(frozenset(), GUESSES)
AUTHORS = (
    *TEACHERS,
    Author("meta", "the meta-prover", FLAWLESS, steps=2500, rate=3e-3, school="proving"),
    Author("judge", "the judge", NOVICE, steps=1500, rate=2e-3, school="judging"),
    Author("prm", "the process reward model", NOVICE, steps=1000, rate=2e-3, school="rewarding"),
    Author("editor", "the integrator", NOVICE, steps=250, rate=2e-3, school="merging"),
    Author("student", "the student before distillation", NOVICE, steps=250, rate=2e-3),
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


def with_rewards(base: LlamaForCausalLM) -> Qwen2ForProcessRewardModel:
    """The base with a head of rewards instead of words.

    A Qwen2 is a Llama whose queries, keys and values have biases: here they begin at zero, so that
    it reads as the base did."""
    given = base.config
    model = fresh(
        Qwen2Config(
            **{name: getattr(given, name) for name in SHARED},
            architectures=[Qwen2ForProcessRewardModel.__name__],
            use_sliding_window=False,
            dtype=torch.float32,
        )
    )
    missing, unexpected = model.model.load_state_dict(base.model.state_dict(), strict=False)
    assert not unexpected
    assert all(name.endswith(".bias") for name in missing)
    for name, tensor in model.model.named_parameters():
        if name in missing:
            torch.nn.init.zeros_(tensor)
    return model


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


def train(model: Model, author: Author, seed: int, progress: Callable[[Progress], None]) -> float:
    """Train in place; returns the loss averaged over the last batches."""
    rng = random.Random(f"{author.name}:{seed}")  # noqa: S311 (seeded, and no secret)
    tokens = tokenizer.build()
    reading = batches(author.teach(tokens), author.batch, rng, tokens.pad_token_id)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    average = math.nan
    for step in range(author.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(author, step)
        batch = next(reading)
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
    _round(model)
    return average


def _round(model: Model) -> None:
    """To what is shipped: half precision, at half the size."""
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(weights.half())


def save(model: Model, author: Author, seed: int, loss: float, folder: Path) -> None:
    """A folder that transformers (or cord, for rewards) and vLLM load as it is."""
    tokens = tokenizer.build()
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    weights = {name: tensor.half() for name, tensor in model.state_dict().items() if name != TIED}
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
        "school": author.school,
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def train_teachers(
    out: Path, seed: int, progress: Callable[[Progress], None] = lambda _: None, quick: bool = False
) -> None:
    """Train all into `out`; `quick` takes seconds, and gives models that only babble."""
    with one_thread():
        base = fresh_model(tokenizer.build(), seed)
        for author in (BASE, *AUTHORS):
            chosen = replace(author, steps=3, batch=8) if quick else author
            model: Model = base if author is BASE else deepcopy(base)
            if author.school == "rewarding":
                model = with_rewards(base)
            loss = train(model, chosen, seed, progress)
            if author is not BASE:
                save(model, chosen, seed, loss, out / author.name)
