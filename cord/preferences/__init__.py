"""What a search prefers, as pairs: of steps on one prefix, and of whole trajectories.

The paper leaves it open: every round leaves scored proposals on one prefix, some kept and some
dropped, which is step-level preference data for nothing. `cord.export` writes the pairs.
"""

from __future__ import annotations

from cord.preferences.replay import Replayed, ReplayError, replay
from cord.preferences.step_pairs import StepPair, step_pairs
from cord.preferences.trajectory_pairs import Finished, TrajectoryPair, trajectory_pairs

__all__ = [
    "Finished",
    "ReplayError",
    "Replayed",
    "StepPair",
    "TrajectoryPair",
    "replay",
    "step_pairs",
    "trajectory_pairs",
]
