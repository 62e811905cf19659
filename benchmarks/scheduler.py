"""A simulated cluster: cord's real scheduler, search and seats on a virtual clock.

    python -m benchmarks.scheduler [--quick] [--json]

The workload is `benchmarks.simulated_cluster`'s: 3 teachers, B = 4, 25 steps. Only the engines and
the clock are stand-ins.

1. *Schedules*: 64 problems, all in flight, beside the schedules that others use.
2. *Slots busy*: slot-seconds at work over slot-seconds there were, from the first request to the
   last answer, the emptying cluster at the end included. Once for exactly 64 problems; then for 512
   through 64 places and 1,024 through 256, so that most of the run is its steady state.
3. *Growth*: 10,000 and 100,000 problems through 256 places, each in a process of its own. All 30
   million proposals would take hours, so with 2 teachers, B = 2 and 2 steps. The figures are the
   exponents with which time grows (1 is linear), on the cluster's clock and in CPU time of this
   process, and the ratio of peak memory.

`--quick` runs half of the problems in 2 and a tenth in 3.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import time
from dataclasses import dataclass

from benchmarks.figures import Figure, at_least, at_most, report
from benchmarks.simulated_cluster import Ran, Workload, simulate
from benchmarks.virtual_clock import run_virtually

SCHEDULES = {
    "cord": (64, Workload()),
    "cord, without laggards first": (64, Workload(laggards_first=False)),
    "cord, a step at most 512 tokens": (64, Workload(max_step_tokens=512)),
    "cord, a round closes at 11 of 12": (64, Workload(quorum=0.9)),
    "lock-step across problems": (64, Workload(lock_step=True)),
    "one problem after another": (1, Workload()),
}
SMALL = Workload(teachers=2, width=2, steps=2)


@dataclass(frozen=True)
class Grown:
    """One size of the growth."""

    problems: int
    virtual_s: float
    cpu_s: float
    peak_mib: float


def compare() -> list[Figure]:
    """64 problems by each schedule."""
    print(f"{'64 problems':<34} minutes  times cord's  slots busy")
    rows: dict[str, Ran] = {}
    for name, (in_flight, workload) in SCHEDULES.items():
        ran = rows[name] = run_virtually(simulate(64, in_flight, workload))
        ratio = ran.seconds / rows["cord"].seconds
        print(f"{name:<34} {ran.seconds / 60:7.1f} {ratio:13.2f} {ran.busy:11.3f}", flush=True)
    bound = rows["cord"].work_s / rows["cord"].slots
    print(f"{'the bound: work over slots':<34} {bound / 60:7.1f}")
    faster = rows["lock-step across problems"].seconds / rows["cord"].seconds
    return [
        at_least("slots busy, 64 problems", rows["cord"].busy, 0.85, "share of slot-seconds"),
        at_least("times faster than lock-step", faster, 2.0, "times"),
    ]


def keep_busy(quick: bool) -> list[Figure]:
    """Many problems through few places."""
    figures: list[Figure] = []
    for places, problems, goal in ((64, 512, 0.85), (256, 1024, 0.95)):
        number = problems // 2 if quick else problems
        ran = run_virtually(simulate(number, places, Workload()))
        print(f"{number} problems, {places} in flight: slots busy {ran.busy:.3f}", flush=True)
        name = f"slots busy, {places} in flight"
        figures.append(at_least(name, ran.busy, goal, "share of slot-seconds"))
    return figures


def _grow(problems: int) -> Grown:
    begun = time.process_time()
    ran = run_virtually(simulate(problems, 256, SMALL))
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Grown(problems, ran.seconds, time.process_time() - begun, peak_kib / 1024)


def growth(quick: bool) -> list[Figure]:
    """Ten times the problems, each size in a fresh process."""
    sizes = (1_000, 10_000) if quick else (10_000, 100_000)
    rows: list[Grown] = []
    for size in sizes:
        with multiprocessing.get_context("spawn").Pool(1) as fresh:
            rows.append(fresh.apply(_grow, (size,)))
        row = rows[-1]
        print(
            f"{row.problems} problems: {row.virtual_s / 3600:.2f} hours of the cluster's, "
            f"{1e6 * row.cpu_s / row.problems:.0f} us of CPU time a problem, "
            f"peak memory {row.peak_mib:.0f} MiB",
            flush=True,
        )
    few, many = rows

    def exponent(a: float, b: float) -> float:
        return math.log(b / a) / math.log(many.problems / few.problems)

    to = f"to {many.problems:,} problems"
    return [
        at_most(f"growth of the cluster's time {to}", exponent(few.virtual_s, many.virtual_s),
                1.02, "exponent"),
        at_most(f"growth of our CPU time {to}", exponent(few.cpu_s, many.cpu_s), 1.05, "exponent"),
        at_most(f"peak memory {to}", many.peak_mib / few.peak_mib, 1.2, "times that of a tenth"),
    ]  # fmt: skip


def main() -> None:
    """Print the tables and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer problems")
    parser.add_argument("--json", action="store_true", help="figures as JSON on the last line")
    options = parser.parse_args()
    figures = [*compare(), *keep_busy(options.quick), *growth(options.quick)]
    report(figures, options.json)


if __name__ == "__main__":
    main()
