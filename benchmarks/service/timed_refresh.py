"""One refresh in a process of its own, as a scheduled one: prints what it took as JSON.

python -m benchmarks.service.timed_refresh RECIPE LAKE
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path

from cord.lake.runs.run_tables import planned_shards
from cord.lake.tables.rows import REUSED
from cord.recipe_file import load_recipe
from flows.launch import carry_out, prepare_refresh

IMPORTED = ("flows.refresh", "cord.engines.embedded.engine", "great_expectations")
"""Before the clock starts: what every run imports in time."""


def main() -> None:
    """Refresh, and print."""
    for name in IMPORTED:
        importlib.import_module(name)
    path = Path(sys.argv[1])
    begun, cpu = time.monotonic(), _cpu_seconds()
    launch = prepare_refresh(load_recipe(path), path.resolve().parent, sys.argv[2])
    decoded, release = 0, launch.done.release if launch.done is not None else None
    if launch.done is None:
        release = carry_out(launch).get("release")
        planned = planned_shards(launch.lake, launch.run_id)
        decoded = sum(n for shard, n in planned.items() if shard != REUSED)
    took = {
        "seconds": time.monotonic() - begun,
        "cpu_seconds": _cpu_seconds() - cpu,
        "decoded": decoded,
        "release": release,
    }
    print(json.dumps(took))


def _cpu_seconds() -> float:
    own, children = (
        resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
