"""A cluster of cells that decode a million problems, for `benchmarks.service.at_scale`.

A *cell* is what one flow process drives: a host's GPUs, the vLLM servers on them, and `in_flight`
places for problems. It takes the next shard when it has a free place and no problem of its own
left. A problem holds its place for a log-normal time; where its host fails, the problems in flight
lose half a round on average and wait until a host is back: everything decided is in the journal.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass

MEAN_ROUNDS = 25
SIGMA = 0.35
"""Of the logarithm of a problem's time; rounds of problems differ by about a third."""


@dataclass(frozen=True)
class Cluster:
    """What is simulated."""

    problems: int = 1_000_000
    cells: int = 64
    in_flight: int = 64
    shard: int = 100
    """Problems of a shard."""
    problem_s: float = 288.7
    """Of a cell, all its places at work, by problem."""
    host_cells: int = 2
    """That a failing host takes with it."""
    mtbf_days: float = 90.0
    """Of one host; infinite: none fails."""
    repair_s: float = 4 * 3600.0
    """Until its places are at work again, on whatever host."""
    seed: int = 7

    @property
    def place_s(self) -> float:
        """For how long a problem holds its place, on average."""
        return self.problem_s * self.in_flight


@dataclass(frozen=True)
class Simulated:
    """What came of it."""

    days: float
    idle: float
    """Share of the places' time without a problem: the end, when shards run out."""
    failures: int
    lost: float
    """Share of the places' time in rounds done again."""
    down: float
    """Share of the places' time that waited for a host."""


def simulate(cluster: Cluster) -> Simulated:
    """Carry it out, problem by problem."""
    drawn = random.Random(cluster.seed)
    horizon = 3 * cluster.problems * cluster.problem_s / cluster.cells
    failing = _failures(cluster, drawn, horizon)
    queue = cluster.problems  # in no shard yet
    own = [0] * cluster.cells
    median = cluster.place_s / math.exp(SIGMA**2 / 2)
    round_s = cluster.place_s / MEAN_ROUNDS
    ends: list[tuple[float, int, int]] = []
    busy = lost = down = end = 0.0
    met: set[tuple[int, int]] = set()

    def begin(now: float, cell: int) -> None:
        nonlocal queue, busy
        if not own[cell]:
            own[cell] = min(cluster.shard, queue)
            queue -= own[cell]
        if own[cell]:
            own[cell] -= 1
            takes = drawn.lognormvariate(math.log(median), SIGMA)
            busy += takes
            known = failing[cell]
            next_failure = next((i for i, at in enumerate(known) if at > now), len(known))
            heapq.heappush(ends, (now + takes, cell, next_failure))

    for _ in range(cluster.in_flight):
        for cell in range(cluster.cells):
            begin(0.0, cell)
    while ends:
        now, cell, failure = heapq.heappop(ends)
        if failure < len(failing[cell]) and failing[cell][failure] <= now:
            met.add((cell // cluster.host_cells, failure))
            again = drawn.uniform(0.0, round_s)
            lost, down = lost + again, down + cluster.repair_s
            heapq.heappush(ends, (now + again + cluster.repair_s, cell, failure + 1))
            continue
        end = max(end, now)
        begin(now, cell)
    places = end * cluster.cells * cluster.in_flight
    idle = 1.0 - (busy + lost + down) / places
    return Simulated(end / 86_400, idle, len(met), lost / places, down / places)


def _failures(cluster: Cluster, drawn: random.Random, horizon: float) -> list[list[float]]:
    """When each cell's host fails."""
    by_cell: list[list[float]] = []
    for _ in range(-(-cluster.cells // cluster.host_cells)):
        at, times = 0.0, []
        while cluster.mtbf_days < math.inf:
            at += drawn.expovariate(1.0 / (cluster.mtbf_days * 86_400))
            if at > horizon:
                break
            times.append(at)
        by_cell += [times] * cluster.host_cells
    return by_cell[: cluster.cells]
