"""Model folders: finding them, loading what is in them safely."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as progress

from cord.engines.model_identity import identity_of as identity_of
from cord.errors import EngineError

SHIPPED = "cord:"
"""Prefix of the names of the models that cord ships."""


def shipped_models() -> dict[str, Path]:
    """The small models in cord's package data: name to folder."""
    models = Path(str(files("cord.miniature"))) / "models"
    if not models.is_dir():
        return {}
    return {folder.name: folder for folder in sorted(models.iterdir()) if is_model(folder)}


def is_model(folder: Path) -> bool:
    """It holds a model in Hugging Face's layout."""
    return (folder / "config.json").is_file()


def model_folder(model: str) -> Path:
    """Where `cord:NAME` or a local folder is. Raises `EngineError` where there is none."""
    if model.startswith(SHIPPED):
        shipped = shipped_models()
        name = model.removeprefix(SHIPPED)
        if name not in shipped:
            known = ", ".join(SHIPPED + known for known in shipped) or "none in this installation"
            raise EngineError(f"cord ships no model named {model}; it ships {known}")
        return shipped[name]
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise EngineError(
            f"no folder {model}; an embedded model is a local folder or one of "
            f"{', '.join(SHIPPED + known for known in shipped_models()) or 'the shipped models'} "
            "(a hub model: download it first, with `hf download`)"
        )
    if not is_model(folder):
        raise EngineError(f"no config.json in {model}; it is not a Hugging Face model folder")
    return folder


def config_of(folder: Path) -> PretrainedConfig:
    """The configuration of any model whose weights can be loaded. Raises `EngineError`."""
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers raises whatever its parts raise
        raise EngineError(f"cannot read {folder / 'config.json'}: {error}") from error
    if not list(folder.glob("*.safetensors")):
        raise EngineError(f"no *.safetensors in {folder}; cord loads no pickled weights")
    return config


def read_config(folder: Path) -> PretrainedConfig:
    """The configuration of a causal language model. Raises `EngineError` for anything else."""
    config = config_of(folder)
    architectures = getattr(config, "architectures", None) or []
    if not any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures):
        raise EngineError(
            f"the model in {folder} is {', '.join(architectures) or 'of no named architecture'}, "
            "not a causal language model; cord needs one that writes text (...ForCausalLM)"
        )
    return config


def context_of(folder: Path, config: PretrainedConfig) -> int:
    """Most tokens that the model reads. Raises `EngineError` where the folder does not say."""
    context = getattr(config, "max_position_embeddings", None)
    if not isinstance(context, int):
        raise EngineError(f"{folder / 'config.json'} names no max_position_embeddings")
    return context


def load_model(
    folder: Path, config: PretrainedConfig, dtype: torch.dtype, kind: Any = AutoModelForCausalLM
) -> PreTrainedModel:
    """Weights as `dtype`, ready for inference. `kind`: the class that has `from_pretrained`.
    Raises `EngineError`."""
    with no_progress_bar():
        try:
            loaded: Any = kind.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
        except Exception as error:
            raise EngineError(f"cannot load the weights in {folder}: {error}") from error
    model: PreTrainedModel = loaded[0].eval().requires_grad_(False)
    report: dict[str, set[str]] = loaded[1]
    if missing := sorted(report["missing_keys"]):
        raise EngineError(
            f"the weights in {folder} lack {len(missing)} of the model's tensors, such as "
            f"{missing[0]}; the download may be incomplete"
        )
    return model


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Loading and saving take a second; a bar on the terminal would only get in the way."""
    logging: Any = progress
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def parameters_in(folder: Path) -> int:
    """How many numbers the weight files hold, from their headers alone. Raises `EngineError`."""
    count = 0
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, framework="pt") as weights:
                for name in weights.keys():  # noqa: SIM118 (not a dict)
                    count += prod(weights.get_slice(name).get_shape())
        except SafetensorError as error:
            raise EngineError(
                f"{path} is no safetensors file ({error}); download it again"
            ) from error
    return count


def keeps_logits(model: PreTrainedModel) -> bool:
    """Its forward can leave the logits of early positions out."""
    return "logits_to_keep" in inspect.signature(model.forward).parameters
