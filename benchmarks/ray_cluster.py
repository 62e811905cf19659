"""A real Ray cluster on this machine: nodes of one CPU each, with a raylet of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.chaos.servers import free_port

BIN = Path(sys.executable).parent
STARTS = 3
"""Of a node that does not come up in time, on a machine that has much else to do."""


@dataclass
class RayCluster:
    """Nodes that come and go."""

    folder: Path
    """Short: sockets lie in it."""
    environment: dict[str, str]
    pinned: bool = False
    """Each node to a CPU of its own, the first one first: one that is told it has one CPU has no
    more than that, whatever threads its workers have."""
    address: str = ""
    """What RAY_ADDRESS is."""

    def add_head(self) -> None:
        """The first node."""
        said = self._start(
            "--head", f"--port={free_port()}", f"--temp-dir={self.folder}",
            "--include-dashboard=false", f"--ray-client-server-port={free_port()}",
        )  # fmt: skip
        found = re.search(r"--address='([^']+)'", said)
        assert found is not None, said
        self.address = found[1]

    def add_node(self) -> None:
        """One more node."""
        self._start(f"--address={self.address}")

    def raylets(self) -> list[int]:
        """The processes that are its nodes, the oldest (the head) first."""
        return _found("-f", f"raylet/raylet .*--gcs-address={self.address} ")

    def workers(self) -> list[int]:
        """The processes that carry out tasks, or wait for some."""
        children = [pid for raylet in self.raylets() for pid in _found("-P", f"{raylet}")]
        titles = {pid: _title(pid) for pid in children}
        return [pid for pid, t in titles.items() if t.startswith("ray::") and "Agent" not in t]

    def kill_newest_node(self) -> None:
        """kill -9 of its raylet; the workers on it end with it."""
        os.kill(self.raylets()[-1], signal.SIGKILL)

    def _start(self, *arguments: str) -> str:
        said = ""
        for _ in range(STARTS):
            started = subprocess.run(
                [
                    BIN / "ray", "start", *arguments, "--num-cpus=1",
                    "--object-store-memory=80000000", "--disable-usage-stats",
                ],
                env=self.environment, capture_output=True, text=True, timeout=300,
                preexec_fn=partial(os.sched_setaffinity, 0, self._cpus()),
            )  # fmt: skip
            said = started.stdout + started.stderr
            if started.returncode == 0:
                return said
            if "--head" in arguments:
                self.stop()
        raise RuntimeError(f"ray start failed:\n{said[-2000:]}")

    def _cpus(self) -> set[int]:
        """Those of the next node."""
        all_of_them = sorted(os.sched_getaffinity(0))
        nodes = len(self.raylets()) if self.address else 0
        return {all_of_them[nodes % len(all_of_them)]} if self.pinned else set(all_of_them)

    def stop(self) -> None:
        """End all that belongs to it."""
        session = str((self.folder / "session_latest").resolve())
        for pid in [*self.workers(), *_found("-f", session)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _found(*how: str) -> list[int]:
    """Processes as `pgrep` finds them, the oldest first."""
    found = subprocess.run(["pgrep", *how], capture_output=True, text=True)
    pids = {pid: _started(pid) for pid in map(int, found.stdout.split())}
    return sorted(pids, key=pids.__getitem__)


def _started(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@contextmanager
def ray_cluster(
    settings: Mapping[str, str] | None = None, pinned: bool = False
) -> Iterator[RayCluster]:
    """A cluster with its head, its workers' environment with `settings`; stopped at the end."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120",  # 30 s are little where much else is done
        **(settings or {}),
    }
    with tempfile.TemporaryDirectory(
        prefix="ray", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        cluster = RayCluster(Path(folder), environment, pinned)
        try:
            cluster.add_head()
            yield cluster
        finally:
            cluster.stop()
