"""Faults at random, the same ones for the same seed, for the proxies before S3 and before vLLM."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Fault = TypeVar("Fault")


@dataclass
class Storm(Generic[Fault]):
    """Faults at random on a share of all requests."""

    seed: int
    share: float
    kinds: Sequence[Fault]

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def next_fault(self) -> Fault | None:
        """What happens to the next request."""
        return self._random.choice(self.kinds) if self._random.random() < self.share else None
