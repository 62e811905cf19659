"""What a refresh costs where one problem in a hundred is new, and where none is.

A source of miniature problems is decoded whole; then a hundredth of it comes to it, and the same
refresh is made as a schedule makes it (`flows.launch.prepare_refresh`); then once more over the
same source. Each in a process of its own, timed from when its imports are done, models not yet
loaded, on one Prefect server that runs already: as a worker's processes are. The share is that of
seconds, and of the process's own CPU seconds, which hardly feel what else the machine does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.chaos.servers import prefect_server
from benchmarks.figures import Figure, at_most
from cord.miniature.problems import write_problems

PROBLEMS = 3_000
QUICK_PROBLEMS = 100
NEW = 0.01
GOAL = 0.03
NOT_JUDGED = 1.0
"""Of few problems, what a run costs whatever it decodes is the larger part."""
SEED = 7
RECIPE = {
    "name": "grows",
    "problems": {"path": "problems.jsonl"},
    "teachers": [
        {"name": name, "model": f"cord:{name}", "temperature": 0.6}
        for name in ("ada", "ben", "cyd")
    ],
    "meta_prover": {"model": "cord:meta"},
    "search": {"width": 4, "max_steps": 12, "max_step_tokens": 48, "max_tokens": 400},
    "run": {"seed": SEED, "shards": 8, "workers": 2, "in_flight": 128},
}


@dataclass(frozen=True, slots=True)
class Took:
    """One refresh."""

    seconds: float
    cpu_seconds: float
    """Of its process and of those that it started and waited for."""
    decoded: int
    release: str | None


def run(quick: bool) -> list[Figure]:
    """The shares of a whole run that both refreshes take."""
    problems, goal = (QUICK_PROBLEMS, NOT_JUDGED) if quick else (PROBLEMS, GOAL)
    with tempfile.TemporaryDirectory(prefix="cord-incremental-") as made:
        folder = Path(made)
        (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
        server = prefect_server(folder / "prefect")
        server.start()
        try:
            environment = {**os.environ, **server.environment_for_runs()}
            source = folder / "problems.jsonl"
            write_problems(source, problems, SEED)
            whole = _refresh(folder, environment, "all new")
            write_problems(source, problems + max(1, round(problems * NEW)), SEED)
            few = _refresh(folder, environment, "1 % new")
            none = _refresh(folder, environment, "nothing new")
        finally:
            server.kill()
    if (few.decoded, none.decoded) != (max(1, round(problems * NEW)), 0):
        raise RuntimeError(f"decoded were {few.decoded} and {none.decoded} problems")
    of = f"of {problems:,} problems, over decoding all"
    return [
        at_most(f"refresh of 1 % new {of}", few.seconds / whole.seconds, goal, "of the seconds"),
        at_most(
            f"refresh of 1 % new {of}, CPU", few.cpu_seconds / whole.cpu_seconds, goal, "of the CPU"
        ),
        at_most(
            f"refresh of nothing new {of}", none.seconds / whole.seconds, goal, "of the seconds"
        ),
    ]


def _refresh(folder: Path, environment: dict[str, str], what: str) -> Took:
    command = [sys.executable, "-m", "benchmarks.service.timed_refresh", "recipe.yaml", "lake"]
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**environment, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"the refresh ({what}) failed:\n{ended.stderr[-2000:]}")
    took = Took(**json.loads(ended.stdout.strip().splitlines()[-1]))
    print(
        f"{what}: {took.seconds:.1f} s, {took.cpu_seconds:.1f} s of CPU, "
        f"{took.decoded} decoded, {took.release}",
        flush=True,
    )
    return took
