"""A process reward model: a Qwen2 that says behind each step how likely the step is to be right.

The layout is Qwen2.5-Math-PRM's (Zhang et al., arXiv 2501.07301), so that one folder loads here and
in vLLM (`Qwen2ForProcessRewardModel`): a Qwen2 backbone under `model.`, and on it a head of linear,
ReLU, linear under `score.`, with two classes, of which the second means *right*. What it reads:

    chat prompt, up to where the assistant begins (the system message is REWARD_INSTRUCTIONS)
    step 1 without the white space around it, <extra_0>
    step 2 without the white space around it, <extra_0>, ...

each piece tokenised by itself, no `<think>` anywhere, the questions and steps as plain text. The
logits at each `<extra_0>` say what the step in front of it is (`cord.prompts.STEP_REWARD_TOKEN`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import Cache, Qwen2Config, Qwen2Model
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.models.qwen2.modeling_qwen2 import Qwen2PreTrainedModel

from cord.engines.embedded.weights import config_of, load_model, no_progress_bar
from cord.errors import EngineError

CLASSES = 2
RIGHT = 1
"""The class that means that a step is right."""

if TYPE_CHECKING:
    from transformers import PreTrainedModel as _Pretrained
else:
    _Pretrained = Qwen2PreTrainedModel


class Qwen2ForProcessRewardModel(_Pretrained):  # type: ignore[no-untyped-call]
    """Logits of *wrong* and *right* at each id. The name is what vLLM knows the layout by."""

    config: Qwen2Config

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        width = config.hidden_size
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES))
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool = False,
        logits_to_keep: int = 0,
    ) -> TokenClassifierOutput:
        """Logits [B, T, 2] in `.logits`; with `logits_to_keep`, of the last columns only."""
        read: Any = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
        )
        logits: torch.Tensor = self.score(read.last_hidden_state[:, -logits_to_keep:])
        return TokenClassifierOutput(logits=logits)


def fresh(config: Qwen2Config) -> Qwen2ForProcessRewardModel:
    """One that has learnt nothing yet; its backbone may be given weights through `.model`."""
    config.num_labels = CLASSES
    return Qwen2ForProcessRewardModel(config)


def save(model: Qwen2ForProcessRewardModel, folder: Path) -> None:
    """Write config.json and model.safetensors, as this module and vLLM load them. The tokenizer
    and its chat template belong into the same folder."""
    with no_progress_bar():
        model.save_pretrained(folder)


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Qwen2ForProcessRewardModel:
    """Read a folder, ready for inference. Raises `EngineError` for any other model."""
    config = config_of(folder)
    architectures = getattr(config, "architectures", None) or []
    name = Qwen2ForProcessRewardModel.__name__
    if name not in architectures or not isinstance(config, Qwen2Config):
        raise EngineError(
            f"the model in {folder} is {', '.join(architectures) or 'of no named architecture'}; "
            f"a process reward model in this process is a {name} (Qwen2.5-Math-PRM's layout); "
            "serve others with vLLM"
        )
    if config.num_labels != CLASSES:
        raise EngineError(
            f"the reward model in {folder} has {config.num_labels} classes (num_labels), not "
            f"{CLASSES}: wrong and right"
        )
    model: Any = load_model(folder, config, dtype, Qwen2ForProcessRewardModel)
    assert isinstance(model, Qwen2ForProcessRewardModel)
    return model
