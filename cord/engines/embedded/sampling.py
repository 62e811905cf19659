"""Choose a token for each row of a batch, so that no row's choice depends on the others.

Each request owns a stream of uniform numbers, a counter-based generator of (seed, token index),
and each token is read off the inverse of the cumulative distribution at its own uniform number.
Log-probabilities are rounded to a grid first: in float64 the noise that the shape of a batch
leaves in them (about 1e-15) then practically never reaches a choice, a tie or a score.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

GRID = 1e7
"""Log-probabilities are published, and sampled from, as multiples of 1 / GRID."""


def uniforms(seed: int, count: int) -> NDArray[np.float64]:
    """The first `count` numbers in [0, 1) of this seed's stream. Any integer is a seed."""
    raw = np.random.Philox(key=seed % 2**128).random_raw(count)
    return np.asarray((raw >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def rounded(logprobs: torch.Tensor) -> torch.Tensor:
    """Log-probabilities on the grid; never -0.0."""
    return torch.round(logprobs * GRID) / GRID + 0.0


def choose(
    logits: torch.Tensor,
    temperature: torch.Tensor,
    top_p: torch.Tensor,
    uniform: torch.Tensor,
) -> torch.Tensor:
    """One token id for each row.

    logits [B, V] in any floating type (-inf: never chosen); temperature [B], 0 is the most likely
    token, the first of equals; top_p [B] in (0, 1]; uniform [B] in [0, 1). Returns [B] int64.
    """
    logprobs = rounded(torch.log_softmax(logits.double(), dim=-1))
    greedy = temperature == 0
    best = _first_best(logprobs)
    if bool(greedy.all()):
        return best
    # Differences first: a tiny temperature then leaves zeros and -inf, never inf - inf.
    behind = logprobs - logprobs.amax(dim=-1, keepdim=True)
    scaled = behind / torch.where(greedy, 1.0, temperature)[:, None]
    weights = torch.softmax(scaled, dim=-1)
    if bool((top_p < 1).any()):
        weights = _nucleus(weights, top_p)
    cumulative = torch.cumsum(weights, dim=-1)
    total = cumulative[:, -1]
    target = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    drawn = torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]
    return torch.where(greedy, best, drawn)


def _first_best(logprobs: torch.Tensor) -> torch.Tensor:
    """argmax, the first of equals (torch leaves that open)."""
    places = torch.arange(logprobs.shape[-1], device=logprobs.device)
    highest = logprobs.amax(dim=-1, keepdim=True)
    return torch.where(logprobs == highest, places, logprobs.shape[-1]).amin(dim=-1)


def _nucleus(weights: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Zero what lies outside the smallest set of likeliest tokens whose weights reach `top_p`."""
    ordered, places = torch.sort(weights, dim=-1, descending=True, stable=True)
    before = torch.cumsum(ordered, dim=-1) - ordered
    kept = torch.where((before < top_p[:, None]) | (top_p[:, None] >= 1), ordered, 0.0)
    return torch.zeros_like(weights).scatter(-1, places, kept)
