"""Every stage behind decoding, on a run that is made: `python -m benchmarks.scale.stages LAKE`.

A process of its own, so that its memory is the stages' alone. The tasks are those of `cord run`;
only what they show on the dashboard is left out. The last line is JSON: seconds by stage, and the
peak of resident memory in bytes.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.scale.making import RUN
from cord.lake import open_lake
from cord.lake.runs.run_tables import planned_shards
from tasks import artifacts
from tasks.check import check_contract
from tasks.decontaminate import decontaminate
from tasks.deduplicate import deduplicate
from tasks.publish import publish_release
from tasks.select import select_records
from tasks.verify import verify_shard


def main(lake: str) -> None:
    """Carry all stages out."""
    artifacts.table = artifacts.page = _not_shown
    seconds: dict[str, float] = {}
    peaks: dict[str, int] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        began = time.monotonic()
        done = work()
        seconds[stage] = seconds.get(stage, 0.0) + time.monotonic() - began
        peaks[stage] = _peak()
        print(f"  {stage}: {seconds[stage]:.1f} s, peak {peaks[stage] / 2**20:.0f} MB", flush=True)
        return done

    def verify() -> None:
        for shard in planned_shards(open_lake(lake), RUN):
            verify_shard.fn(lake, RUN, {"shard": shard})

    timed("verify", verify)
    selected = timed("select", lambda: select_records.fn(lake, RUN))
    timed("deduplicate", lambda: deduplicate.fn(lake, RUN))
    counts = timed("decontaminate", lambda: decontaminate.fn(lake, RUN, selected))
    checked = timed("check", lambda: check_contract.fn(lake, RUN, counts))
    if not checked["holds"]:
        raise SystemExit(checked["explanation"])
    released = timed("publish", lambda: publish_release.fn(lake, RUN, counts))
    told = {"seconds": seconds, "peak": _peak(), "counts": counts, "release": released["release"]}
    print(json.dumps(told))


def _not_shown(*_: object, **__: object) -> None:
    pass


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(sys.argv[1])
