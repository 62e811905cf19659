"""The paper's own figures (CoRD, arXiv 2605.02290; data made from LIMO-v1, four H200)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PaperRow:
    """What the paper states of one system; None where it states nothing."""

    accuracy: float | None = None
    """Share of right answers, 0 to 1."""
    score: float | None = None
    """Mean predictive perplexity S."""
    seconds: float | None = None
    """A problem."""


PAPER: Final[dict[str, dict[str, PaperRow]]] = {
    "heterogeneous": {
        "curation": PaperRow(0.848, 0.652),
        "integration": PaperRow(0.912, 0.223),
        "CoRD": PaperRow(0.931, 0.774),
    },
    "homogeneous": {
        "curation": PaperRow(0.774, 0.664),
        "integration": PaperRow(0.886, 0.215),
        "CoRD": PaperRow(0.900, 0.726),
    },
    "segmentation": {
        "line-break": PaperRow(0.884, 0.734),
        "prefix": PaperRow(0.913, 0.747),
        "prompt-guided": PaperRow(0.931, 0.774),
    },
    "criterion": {
        "random": PaperRow(0.804, 0.494),
        "max-length": PaperRow(0.800, 0.502),
        "process reward": PaperRow(0.826, 0.591),
        "binary": PaperRow(0.917, 0.626),
        "predictive perplexity": PaperRow(0.931, 0.774),
    },
    "search": {
        "greedy": PaperRow(0.816, 0.719),
        "MCTS": PaperRow(0.896, 0.755),
        "beam": PaperRow(0.931, 0.774),
    },
    "cost": {
        "curation": PaperRow(0.848, seconds=168.3),
        "curation x2": PaperRow(0.903, seconds=336.6),
        "MCTS": PaperRow(0.896, seconds=589.2),
        "CoRD": PaperRow(0.931, seconds=288.7),
    },
}
"""Tables by name; rows by the names that the reports use."""

STUDENTS: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "no distillation": {"7B": (0.513, 0.375), "14B": (0.681, 0.506), "32B": (0.716, 0.538)},
    "curation": {"7B": (0.566, 0.421), "14B": (0.681, 0.546), "32B": (0.750, 0.621)},
    "integration": {"7B": (0.083, 0.038), "14B": (0.075, 0.040), "32B": (0.127, 0.090)},
    "CoRD": {"7B": (0.608, 0.456), "14B": (0.748, 0.623), "32B": (0.796, 0.702)},
}
"""Students' Pass@1 on AIME24 and AIME25, by data (heterogeneous teachers) and size."""
