"""Half an hour of refreshes one after another: what `cord serve` and the Prefect server beside it
hold does not grow.

Refresh after refresh of one lake is asked for on the dashboard, with another seed each time and a
new problem now and then. Prefect's runner in `cord serve` gives each a process of its own, of which
nothing must be left. Between two refreshes the resident memory (what is shared with files left
out), the open files and the threads of both are read, and the size of the server's database.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.chaos.dashboard import DashboardWorkshop
from benchmarks.chaos.processes import Held, held_by, marked
from benchmarks.chaos.servers import PrefectServer, prefect_server
from benchmarks.figures import Figure, at_most

WHOLE_S, QUICK_S = 1800.0, 180.0
MEMORY_GROWS = 1.05
"""At most: mean of the last third over that of the middle third. The first is warming up."""
DATABASE_GROWS = 1.1
"""At most: growth a refresh in the last third over that in the first."""


PROBLEMS = 8
NEW_EVERY = 5
"""Refreshes with the same problems; then there is one more."""
LEAVES_S = 60.0
"""A refresh's process may take so long to be gone on a busy machine."""
STAYS = "resource_tracker"
"""Python's own child of `cord serve`, there from the first refresh on."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Between two refreshes."""

    refresh: int
    at_s: float
    seconds: float
    """Of the refresh that has ended."""
    service: Held
    server: Held
    left: int
    """Processes of refreshes that have ended."""
    database_kib: float


def measure(quick: bool) -> list[Figure]:
    """Refresh for half an hour."""
    base = Path(tempfile.mkdtemp(prefix="cord-soak-"))
    server = prefect_server(base / "prefect")
    server.start()
    moments: list[Moment] = []
    try:
        for moment in _soak(base, server, QUICK_S if quick else WHOLE_S):
            moments.append(moment)
            if moment.refresh % NEW_EVERY == 0:
                _show(moment)
    finally:
        server.kill()
    keep = os.environ.get("CORD_CHAOS_SOAK")
    if keep:
        Path(keep).write_text(json.dumps([asdict(moment) for moment in moments]))
    shutil.rmtree(base)
    return figures_of(moments)


def _soak(base: Path, server: PrefectServer, seconds: float) -> Iterator[Moment]:
    workshop = DashboardWorkshop(
        base / "work", str(base / "lake"), server.environment_for_runs(), "soak"
    )
    begun, number = time.monotonic(), 0
    try:
        while time.monotonic() - begun < seconds:
            at = time.monotonic()
            workshop.write(PROBLEMS + number // NEW_EVERY, seed=number, shards=2, workers=2)
            workshop.note.unlink(missing_ok=True)  # another one, not the last one again
            service = workshop.serve()
            if workshop.run().wait() != 0:
                raise RuntimeError(f"refresh {number} failed: {workshop.said[-2000:]}")
            number, now = number + 1, time.monotonic()
            yield Moment(
                *(number, now - begun, now - at),
                left=len(_left(service)),
                service=held_by(service),
                server=held_by(server.pid),
                database_kib=sum(f.stat().st_size for f in server.home.glob("prefect.db*")) / 1024,
            )
    finally:
        workshop.close()


def _left(service: int) -> set[int]:
    """Processes beside the service that still live `LEAVES_S` after their refresh."""
    deadline = time.monotonic() + LEAVES_S
    while (left := _beside(service)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def _beside(service: int) -> set[int]:
    return {pid for pid, command in marked("soak").items() if STAYS not in command} - {service}


def _show(moment: Moment) -> None:
    service, server = moment.service, moment.server
    print(
        f"{moment.at_s:6.0f} s, refresh {moment.refresh} in {moment.seconds:.1f} s: service "
        f"{service.memory_mib:.0f} MiB, {service.files} files, {service.threads} threads; server "
        f"{server.memory_mib:.0f} MiB, {server.files} files, {server.threads} threads, database "
        f"{moment.database_kib:.0f} KiB",
        flush=True,
    )


def figures_of(moments: Sequence[Moment]) -> list[Figure]:
    """By thirds of the refreshes."""
    third = len(moments) // 3
    if third < 2:
        raise RuntimeError(f"only {len(moments)} refreshes: nothing can be said")
    first, middle, last = moments[:third], moments[third : 2 * third], moments[2 * third :]
    figures = [
        at_most("soak: processes left", max(m.left for m in moments), 0, "of ended refreshes")
    ]
    for name in ("service", "server"):
        before: list[Held] = [getattr(moment, name) for moment in middle]
        after: list[Held] = [getattr(moment, name) for moment in last]
        memory = fmean(h.memory_mib for h in after) / fmean(h.memory_mib for h in before)
        more_files = max(h.files for h in after) - max(h.files for h in before)
        more_threads = max(h.threads for h in after) - max(h.threads for h in before)
        figures += [
            at_most(f"soak: memory of the {name}", memory, MEMORY_GROWS, "times the middle third"),
            at_most(f"soak: files of the {name}", more_files, 0, "more than in the middle third"),
            at_most(
                f"soak: threads of the {name}", more_threads, 0, "more than in the middle third"
            ),
        ]
    growth = _growth(last) / max(_growth(first), 1e-9)
    print(f"{len(moments)} refreshes; the database grew by {_growth(last):.1f} KiB a refresh")
    return [
        *figures,
        at_most("soak: database's growth", growth, DATABASE_GROWS, "times the first third"),
    ]


def _growth(moments: Sequence[Moment]) -> float:
    """KiB a refresh."""
    return (moments[-1].database_kib - moments[0].database_kib) / (len(moments) - 1)
