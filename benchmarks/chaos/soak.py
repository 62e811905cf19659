"""Half an hour of refreshes one after another: what a worker and the Prefect server beside it hold
does not grow.

One process refreshes one lake again and again, with another seed each time and a new problem now
and then. Between two refreshes its resident memory (what it shares with files left out), open files
and threads are read, the server's, and the size of its database.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.chaos.processes import Held, held_by, kill_group
from benchmarks.chaos.refreshing import REST_EVERY
from benchmarks.chaos.servers import PrefectServer, prefect_server
from benchmarks.figures import Figure, at_most

WHOLE_S, QUICK_S = 1800.0, 180.0
MEMORY_GROWS = 1.05
"""At most: mean of the last third over that of the middle third. The first is warming up."""
DATABASE_GROWS = 1.1
"""At most: growth a refresh in the last third over that in the first."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Between two refreshes."""

    refresh: int
    at_s: float
    seconds: float
    """Of the refresh that has ended."""
    worker: Held
    server: Held
    database_kib: float
    rested: bool
    """The worker had rested before: only then do its threads and files say anything."""


def measure(quick: bool) -> list[Figure]:
    """Refresh for half an hour."""
    base = Path(tempfile.mkdtemp(prefix="cord-soak-"))
    server = prefect_server(base / "prefect")
    server.start()
    moments: list[Moment] = []
    try:
        for moment in _soak(base, server, QUICK_S if quick else WHOLE_S):
            moments.append(moment)
            if moment.rested:
                _show(moment)
    finally:
        server.kill()
    keep = os.environ.get("CORD_CHAOS_SOAK")
    if keep:
        Path(keep).write_text(json.dumps([asdict(moment) for moment in moments]))
    shutil.rmtree(base)
    return figures_of(moments)


def _soak(base: Path, server: PrefectServer, seconds: float) -> Iterator[Moment]:
    folder, lake = base / "work", base / "lake"
    folder.mkdir()
    with (base / "said").open("wb") as said:
        worker = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.chaos.refreshing"),
                *(str(folder), str(lake), str(seconds)),
            ],
            env={**os.environ, **server.environment_for_runs()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    assert worker.stdout is not None
    try:
        for line in worker.stdout:
            told = json.loads(line)
            held = Held(told["memory_mib"], told["files"], told["threads"])
            yield Moment(
                *(told["refresh"], told["at_s"], told["seconds"], held, held_by(server.pid)),
                database_kib=sum(f.stat().st_size for f in server.home.glob("prefect.db*")) / 1024,
                rested=told["rested"],
            )
        if worker.wait() != 0:
            raise RuntimeError(f"the worker failed: {(base / 'said').read_text()[-2000:]}")
    finally:
        kill_group(worker.pid)
        worker.wait()


def _show(moment: Moment) -> None:
    worker, server = moment.worker, moment.server
    print(
        f"{moment.at_s:6.0f} s, refresh {moment.refresh} in {moment.seconds:.1f} s: worker "
        f"{worker.memory_mib:.0f} MiB, {worker.files} files, {worker.threads} threads; server "
        f"{server.memory_mib:.0f} MiB, {server.files} files, {server.threads} threads, database "
        f"{moment.database_kib:.0f} KiB",
        flush=True,
    )


def figures_of(moments: Sequence[Moment]) -> list[Figure]:
    """By thirds of the refreshes."""
    third = len(moments) // 3
    if third < REST_EVERY:
        raise RuntimeError(f"only {len(moments)} refreshes: nothing can be said")
    first, middle, last = moments[:third], moments[third : 2 * third], moments[2 * third :]
    figures = []
    for name in ("worker", "server"):
        before: list[Held] = [getattr(moment, name) for moment in middle]
        after: list[Held] = [getattr(moment, name) for moment in last]
        memory = fmean(h.memory_mib for h in after) / fmean(h.memory_mib for h in before)
        before = [getattr(moment, name) for moment in middle if moment.rested]
        after = [getattr(moment, name) for moment in last if moment.rested]
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
