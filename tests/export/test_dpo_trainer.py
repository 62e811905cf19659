"""Both kinds of pairs go into TRL's DPOTrainer as they are, and teach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cord.export import PairOptions, export
from cord.lake import Lake
from cord.lake.releases.manifest import Manifest
from cord.students.start import find_start

pytestmark = pytest.mark.slow


def trained(data: Path, out: Path, by_step: bool) -> tuple[Any, list[dict[str, float]]]:
    """A miniature model after eight steps on eight pairs; the trainer and what it logged."""
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    from cord.export.step_collator import StepCollator

    folder = find_start("cord:ada", Path()).folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder),
        args=DPOConfig(
            output_dir=str(out), max_steps=8, per_device_train_batch_size=8, learning_rate=1e-3,
            logging_steps=1, report_to=[], use_cpu=True, save_strategy="no", seed=1, bf16=False,
            gradient_checkpointing=False, disable_tqdm=True,
        ),
        train_dataset=load_dataset(
            "json", data_files=str(data), split="train[-8:]", cache_dir=str(out / "cache")
        ),
        processing_class=tokenizer,
        data_collator=StepCollator.of(tokenizer) if by_step else None,
    )  # fmt: skip
    trainer.train()
    return trainer, [entry for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("how", ["dpo", "step-dpo"])
def test_a_student_learns_from_the_pairs(
    how: str, released: tuple[Lake, Manifest], tmp_path: Path
) -> None:
    data = tmp_path / "pairs.jsonl"
    export(*released, how, data, PairOptions(tokenizer="cord:ada"))
    trainer, log = trained(data, tmp_path / "out", by_step=how == "step-dpo")
    assert log[0]["loss"] == pytest.approx(0.693, abs=0.01), "at first nothing is preferred"
    assert log[-1]["loss"] < 0.5 and log[-1]["rewards/margins"] > 0.5
    batch = next(iter(trainer.get_train_dataloader()))
    tokenizer = trainer.processing_class
    learnt = [
        [number for number, told in zip(ids, mask, strict=True) if told]
        for ids, mask in zip(
            batch["input_ids"].tolist(), batch["completion_mask"].tolist(), strict=True
        )
    ]
    begins = [tokenizer.decode(ids).count(tokenizer.bos_token) for ids in batch["input_ids"]]
    assert begins == [1] * len(begins)
    for ids in learnt:
        closes = "</think>" in tokenizer.decode(ids)
        assert (ids[-1] == tokenizer.eos_token_id) == closes, "only an answer ends"
    assert how == "step-dpo" or all("</think>" in tokenizer.decode(ids) for ids in learnt)
