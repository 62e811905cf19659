"""What a trajectory is worth as a whole, from the scores along its path.

The paper looks at the last score only, which also pays for wrong steps that happen to cancel. The
others look at the way there. Of numbers alone: the search, the records and the reports all use it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from cord.recipe.search import PathScore


def path_value(start: float, scores: Iterable[float], by: PathScore) -> float:
    """The value of a path with the scores S_1 ... S_T behind its steps and S_0 = `start` in front
    of them, each in (0, 1]; at most 0, higher is better, and `exp` of it lies in [0, 1].

    - `last`: log S_T, the paper's.
    - `mean`: the mean of log S_1 ... log S_T: what made the answer less likely on the way counts.
    - `steady`: log S_T less the largest fall of log S on the way, from any earlier prefix.
    """
    logs = [math.log(score) for score in (start, *scores)]
    if by == "mean":
        return math.fsum(logs[1:]) / (len(logs) - 1) if len(logs) > 1 else logs[0]
    if by == "steady":
        highest, fall = logs[0], 0.0
        for log in logs:
            highest = max(highest, log)
            fall = max(fall, highest - log)
        return logs[-1] - fall
    return logs[-1]
