"""Ten thousand shards in one run: what Prefect costs, whether its dashboard answers, what grows.

A problem a shard, the strictest case. The run is `flows.refresh` on a real Prefect server with a
database of its own and a lake on a folder; only the models answer at once, since what is measured
is everything else. The same task bodies called without Prefect give what the lake's own work is;
the rest, and the server's CPU, is Prefect's. Both are held against the CPU that the miniature's
models (those of `recipes/demo.yaml`) take for as many problems, measured here on a sample.
CPU time counts, not the clock, so that what else the machine does is not measured.

While the run goes on, the server is asked every 3 s what the dashboard's page of a run asks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.chaos.servers import PrefectServer, prefect_server
from benchmarks.figures import Figure, at_most
from benchmarks.service.cheap_run import lay_down
from benchmarks.service.miniature_sample import seconds_of
from cord.journal import Entry, Header, entry_line, header_line
from cord.lake import Lake, open_lake
from cord.lake.runs.journals import journal_folder, journal_progress
from cord.lake.runs.progress import shard_states
from cord.types import Round

SHARDS, QUICK = 10_000, 1_024
SAMPLE = 48
ASK_EVERY_S = 3.0
SEARCH = "5ea7c4" * 8
RUN = "ten-thousand"


def run(quick: bool) -> list[Figure]:
    """All of it; `quick` takes 1,024 shards, in 64 batches of 16."""
    shards = QUICK if quick else SHARDS
    model_s = seconds_of(SAMPLE, 16, time.process_time) / SAMPLE
    print(f"the miniature: {model_s:.3f} s of CPU a problem ({SAMPLE} problems)", flush=True)
    with tempfile.TemporaryDirectory(prefix="cord-shards-") as place:
        return _measured(Path(place), shards, model_s)


def _measured(place: Path, shards: int, model_s: float) -> list[Figure]:
    direct = _carry_out("direct", place, shards, dict(os.environ))
    few = _carry_out("direct", place, shards // 10, dict(os.environ), "few")
    server = prefect_server(place / "prefect")
    server.start()
    try:
        before, size = _cpu_s(server.pid), _bytes(server)
        with _asking(server) as slowest:
            flow = _carry_out("flow", place, shards, server_environment(server))
        spent, grown = _cpu_s(server.pid) - before, _bytes(server) - size
    finally:
        server.kill()
    client = flow["cpu_s"] - direct["cpu_s"]
    model = model_s * shards
    print(
        f"{shards} shards: the task bodies alone {direct['cpu_s']:.1f} s of CPU "
        f"({direct['wall_s']:.1f} s by the clock), through Prefect "
        f"{flow['cpu_s']:.1f} s ({flow['wall_s']:.1f} s by the clock), its server "
        f"{spent:.1f} s; the miniature would take {model:.0f} s. The server's database grew by "
        f"{grown / 2**20:.1f} MiB. Asked {slowest.asked} times for the run's page"
    )
    for what, seconds in sorted(slowest.seconds.items()):
        print(f"  {what}: {seconds * 1e3:.0f} ms at the slowest")
    print(
        f"the lake's own work: {direct['cpu_s'] / shards * 1e3:.1f} ms of CPU a shard, of "
        f"{shards // 10} shards {few['cpu_s'] / (shards // 10) * 1e3:.1f} ms"
    )
    return [
        at_most(
            f"Prefect's CPU, {shards} shards of one problem", (client + spent) / model, 0.05,
            "of the miniature's CPU",
        ),
        at_most("slowest answer to the dashboard", max(slowest.seconds.values()), 2.0, "s"),
        *_listings(place, shards),
    ]  # fmt: skip


def _carry_out(
    how: str, place: Path, shards: int, environment: dict[str, str], name: str = ""
) -> dict[str, float]:
    folder = place / (name or how)
    lay_down(folder, shards)
    module = [sys.executable, "-m", "benchmarks.service.cheap_run"]
    done = subprocess.run(
        [*module, how, str(folder / "recipe.yaml"), str(folder / "lake"), RUN],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{how}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def server_environment(server: PrefectServer) -> dict[str, str]:
    """This process's, pointed at the server."""
    return {**os.environ, **server.environment_for_runs()}


class _Slowest:
    """How long the slowest answer to each question took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {"health": 0.0}
        self.asked = 0


@contextmanager
def _asking(server: PrefectServer) -> Iterator[_Slowest]:
    """While the block runs, the server is asked what the page of the run asks."""
    slowest, over = _Slowest(), threading.Event()
    thread = threading.Thread(target=_ask, args=(server.url, slowest, over), daemon=True)
    thread.start()
    try:
        yield slowest
    finally:
        over.set()
        thread.join()


def _ask(url: str, slowest: _Slowest, over: threading.Event) -> None:
    with httpx.Client(timeout=60, trust_env=False) as client:

        def timed(what: str, method: str, path: str, **given: Any) -> Any:
            begun = time.perf_counter()
            answer = client.request(method, f"{url}/{path}", **given)
            took = time.perf_counter() - begun
            slowest.seconds[what] = max(slowest.seconds.get(what, 0.0), took)
            answer.raise_for_status()
            return answer.json()

        while not over.wait(ASK_EVERY_S):
            newest = {"sort": "START_TIME_DESC", "limit": 20}
            runs = timed("runs", "POST", "flow_runs/filter", json=newest)
            for one in runs[:1]:
                mine = {"flow_runs": {"id": {"any_": [one["id"]]}}}
                logs = {"flow_run_id": {"any_": [one["id"]]}}
                timed("run", "GET", f"flow_runs/{one['id']}")
                timed("task runs", "POST", "task_runs/filter", json={**mine, "limit": 200})
                timed("task runs counted", "POST", "task_runs/count", json=mine)
                timed("artifacts", "POST", "artifacts/filter", json={**mine, "limit": 200})
                timed("logs", "POST", "logs/filter", json={"logs": logs, "limit": 200})
                timed("graph", "GET", f"flow_runs/{one['id']}/graph-v2")
                slowest.asked += 1


def _listings(place: Path, shards: int) -> list[Figure]:
    """Times as long for ten times the shards; 10 is linear."""
    many, few = (open_lake(str(place / name / "lake")) for name in ("direct", "few"))
    figures = [_grows("state of each shard", lambda lake: shard_states(lake, RUN), few, many)]
    for lake, number in ((few, shards // 10), (many, shards)):
        for shard in range(number):
            lake.store.write(f"{journal_folder(SEARCH, RUN, shard)}w-000001.jsonl", _segment(shard))
    listed: Callable[[Lake], object] = lambda lake: journal_progress(lake, SEARCH, RUN)  # noqa: E731
    return [*figures, _grows("listing of the journals", listed, few, many)]


def _segment(shard: int) -> bytes:
    header = header_line(Header(cord="1", run_id=RUN, engines={}))
    decided = Round(0, ())
    return header + entry_line(Entry(f"{shard:064x}", f"p{shard}", "", 0.5, decided))[1]


def _grows(what: str, look: Callable[[Lake], object], few: Lake, many: Lake) -> Figure:
    took: list[float] = []
    for lake in (few, many):
        rounds = []
        for _ in range(3):
            begun = time.process_time()
            look(lake)
            rounds.append(time.process_time() - begun)
        took.append(min(rounds))
    print(f"{what}: {took[0] * 1e3:.0f} ms of CPU, ten times the shards {took[1] * 1e3:.0f} ms")
    return at_most(f"{what}, for ten times the shards", took[1] / took[0], 12.0, "times as long")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _bytes(server: PrefectServer) -> int:
    """Of its database."""
    return sum(file.stat().st_size for file in server.home.glob("*.db*"))
