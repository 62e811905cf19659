"""One process that carries out refresh after refresh, as a worker does: the child of `soak`.

    python -m benchmarks.chaos.refreshing FOLDER LAKE SECONDS

Prints a JSON line after each: what this process holds between two refreshes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import flows  # noqa: F401 (Prefect's settings come first)
from benchmarks.chaos.processes import held_by
from benchmarks.chaos.workshop import Workshop
from flows.launch import carry_out, prepare
from flows.servers import servers_end

PROBLEMS = 8
NEW_EVERY = 5
"""Refreshes with the same problems; then there is one more."""
REST_EVERY, REST_S = 5, 12.0
"""Before it is read what is held the process rests so long: deltalake's threads for files go when
they were idle for 10 seconds."""


def main(folder: Path, lake: str, seconds: float) -> None:
    """Refresh until the time is over."""
    begun, number = time.monotonic(), 0
    workshop = Workshop(folder, lake, {}, "soak")
    while time.monotonic() - begun < seconds:
        at = time.monotonic()
        workshop.write(PROBLEMS + number // NEW_EVERY, seed=number, shards=2, workers=2)
        with servers_end(lambda _: None):
            launch = prepare(folder / "recipe.yaml", lake, None, {})
            made = carry_out(launch)
        number += 1
        now = time.monotonic()
        if rested := number % REST_EVERY == 0:
            time.sleep(REST_S)
        line = {
            "refresh": number,
            "at_s": round(now - begun, 3),
            "seconds": round(now - at, 3),
            "problems": made["problems"],
            "release": made["release"],
            "rested": rested,
            **asdict(held_by(os.getpid())),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
