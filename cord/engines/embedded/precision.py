"""Whether a model computes so exactly that the shape of a batch cannot be seen in its results.

A matrix product rounds differently when more rows stand beside one's own. In float64 that noise is
about 1e-15, far below the grid log-probabilities are published on; but one step in float32 on the
way lets it through: there the noise may tip a rounding, which then weighs 1e-8. Hugging Face's
RMS norms are such a step. They are replaced by torch's own, and then one forward pass is *watched*
for any other narrowing: a model is called exact because it was seen to be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedModel

EXACT_BELOW = 50_000_000
"""Parameters up to which float64 is the default: bigger models would be too slow in it."""


def widen_norms(model: PreTrainedModel) -> None:
    """Let RMS norms compute in the model's own precision, where torch's does the same sum."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            widened = _same_norm(child)
            if widened is not None:
                setattr(parent, name, widened)


def _same_norm(module: nn.Module) -> nn.Module | None:
    """torch's RMS norm with this module's weight; None where it is not the same function."""
    weight, epsilon = getattr(module, "weight", None), getattr(module, "variance_epsilon", None)
    if not type(module).__name__.endswith("RMSNorm") or weight is None or epsilon is None:
        return None
    norm = nn.RMSNorm(weight.shape, eps=float(epsilon), dtype=weight.dtype, device=weight.device)
    norm.weight = weight
    probe = torch.linspace(-3, 2, 4 * weight.numel(), dtype=weight.dtype, device=weight.device)
    probe = probe.view(4, *weight.shape)
    same = torch.allclose(norm(probe), module(probe), rtol=1e-5, atol=1e-6)
    return norm if same else None


class _NarrowingWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation; remembers whether one turned float64 into less."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.narrowed = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if _is(args[0] if args else None, torch.float64) and not _is(result, torch.float64):
            self.narrowed |= isinstance(result, torch.Tensor) and result.is_floating_point()
        return result


def _is(value: object, dtype: torch.dtype) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == dtype


def usual_dtype(parameters: int, device: str) -> torch.dtype:
    """float64 for models of less than `EXACT_BELOW` parameters, else float32 on a CPU and bfloat16
    elsewhere."""
    if parameters < EXACT_BELOW:
        return torch.float64
    return torch.float32 if device == "cpu" else torch.bfloat16


def computes_exactly(model: PreTrainedModel, forward: Callable[[], object]) -> bool:
    """Run `forward` once and say whether all of it was float64."""
    if any(p.dtype != torch.float64 for p in model.parameters()):
        return False
    with _NarrowingWatch() as watch:
        forward()
    return not watch.narrowed
