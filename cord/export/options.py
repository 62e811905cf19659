"""What a user may choose about pairs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PairOptions:
    """Which pairs are written, and how their prompt is worded."""

    min_gap: float = 0.1
    """Least difference of log S; 0.1: a score 10 % above the other's. Wrong ones need none."""
    most: int = 2
    """Pairs of one prefix (`step-dpo`) or of one record (`dpo`)."""
    tokenizer: str | None = None
    """The student whose chat template words the prompt; None: in plain words."""
