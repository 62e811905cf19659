"""For TRL's DPOTrainer on `step-dpo`: a step in the midst of a trajectory has no end to be learnt.

The trainer puts the end-of-sequence token behind every chosen and rejected text. Behind a step that
goes on it would teach a student to stop after good steps, since nothing is cheaper to learn:

    trainer = DPOTrainer(model, args=..., train_dataset=..., processing_class=tokenizer,
                         data_collator=StepCollator.of(tokenizer))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trl.trainer.dpo_trainer import DataCollatorForPreference

from cord.prompts import THINK_CLOSE


@dataclass
class StepCollator(DataCollatorForPreference):
    """TRL's collator, which drops the end-of-sequence token behind steps that go on."""

    tokenizer: Any = None

    @classmethod
    def of(cls, tokenizer: Any, **settings: Any) -> StepCollator:
        """For a student's tokenizer; `settings` are those of TRL's collator."""
        pad = tokenizer.pad_token_id
        padding = tokenizer.eos_token_id if pad is None else pad
        return cls(pad_token_id=padding, tokenizer=tokenizer, **settings)

    def torch_call(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """See TRL."""
        trimmed = [
            {
                **example,
                "chosen_ids": self._without_end(example["chosen_ids"]),
                "rejected_ids": self._without_end(example["rejected_ids"]),
            }
            for example in examples
        ]
        made: dict[str, Any] = super().torch_call(trimmed)
        return made

    def _without_end(self, ids: Sequence[int]) -> list[int]:
        """A finishing step has closed its thinking, and keeps its end."""
        goes_on = THINK_CLOSE not in self.tokenizer.decode(ids)
        ends = bool(ids) and ids[-1] == self.tokenizer.eos_token_id
        return list(ids[:-1]) if goes_on and ends else list(ids)
