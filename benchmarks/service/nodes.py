"""What a second node of a Ray cluster is worth to a CPU-bound miniature.

The same recipe over the same problems (embedded models, a shard at a time and one thread of torch
on each node, which is pinned to a CPU of its own and has no other), into an empty lake each: on a
cluster of one node, then of two. Timed from the flow's first line to its last, workers' starts and
the loading of the models included: of so many problems they are a small part, of `--quick`'s few
they are not, and nothing is judged. The flow's process, Prefect's server and Ray's own processes
take their share of the same cores. Beside it stands what a second process is worth on this machine
without any of that: no second node of it can be worth more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.chaos.servers import prefect_server
from benchmarks.figures import Figure, at_least
from benchmarks.ray_cluster import ray_cluster
from benchmarks.service.incremental import RECIPE, SEED
from benchmarks.service.two_processes import ONE_THREAD, worth
from cord.miniature.problems import write_problems

PROBLEMS = 720
QUICK_PROBLEMS = 48
SHARDS = 24
QUICK_SHARDS = 4
GOAL = 1.7
NOT_JUDGED = 0.0


def run(quick: bool) -> list[Figure]:
    """How many times faster two nodes are."""
    problems, shards = (QUICK_PROBLEMS, QUICK_SHARDS) if quick else (PROBLEMS, SHARDS)
    settings = {"seed": SEED, "shards": shards, "in_flight": 128, "runner": "ray"}
    with (
        tempfile.TemporaryDirectory(prefix="cord-nodes-") as made,
        ray_cluster(ONE_THREAD, pinned=True) as cluster,
    ):
        folder = Path(made)
        write_problems(folder / "problems.jsonl", problems, SEED)
        (folder / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "run": settings}))
        server = prefect_server(folder / "prefect")
        server.start()
        try:
            environment = {
                **os.environ,
                **server.environment_for_runs(),
                **ONE_THREAD,
                "RAY_ADDRESS": cluster.address,
            }
            one = _refresh(folder, "one", environment)
            print(f"one node: {problems} problems in {shards} shards, {one:.1f} s", flush=True)
            cluster.add_node()
            two = _refresh(folder, "two", environment)
            print(f"two nodes: {two:.1f} s", flush=True)
            print(f"two processes without Ray: {worth():.2f} times one", flush=True)
        finally:
            server.kill()
    goal = NOT_JUDGED if quick else GOAL
    return [at_least("nodes: two of one CPU against one", one / two, goal, "times faster")]


def _refresh(folder: Path, lake: str, environment: dict[str, str]) -> float:
    """Seconds of a whole refresh into a lake of its own."""
    command = ["-m", "benchmarks.service.timed_refresh", "recipe.yaml", f"{folder / lake}"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    took: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return float(took["seconds"])
