"""What a second process is worth on this machine to the miniature's models, without Ray, Prefect or
a lake: the bound for a second node that shares the machine. Each is pinned to a CPU of its own, as
the nodes are: one process alone would else use some of the second one's.

    python -m benchmarks.service.two_processes        # prints it; --decode: one process's part
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial

from benchmarks.service.miniature_sample import seconds_of

SAMPLE = 64
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def worth() -> float:
    """Problems a second of two processes at once, over those of one."""
    (alone,) = _seconds(1)
    together = _seconds(2)
    return 2 * alone / (sum(together) / len(together))


def _seconds(processes: int) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.service.two_processes", "--decode"]
    environment = {**os.environ, **ONE_THREAD}
    begun = [
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=partial(os.sched_setaffinity, 0, {cpu}),
        )
        for cpu in sorted(os.sched_getaffinity(0))[:processes]
    ]
    return [float(process.communicate()[0].splitlines()[-1]) for process in begun]


if __name__ == "__main__":
    if "--decode" in sys.argv:
        print(seconds_of(SAMPLE, 32, time.monotonic))
    else:
        print(f"two processes: {worth():.2f} times one")
