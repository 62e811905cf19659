"""A real Ray cluster of two nodes on this machine, each with one CPU and a raylet of its own."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from factory import BIN, free_port


@dataclass
class RayCluster:
    """Nodes that a test adds and kills."""

    folder: Path
    """Short: sockets lie in it."""
    environment: dict[str, str]
    address: str = ""
    """What RAY_ADDRESS is."""

    def add_head(self) -> None:
        """The first node, which no test kills."""
        said = self._start(
            "--head", f"--port={free_port()}", f"--temp-dir={self.folder}",
            "--include-dashboard=false",
        )  # fmt: skip
        found = re.search(r"--address='([^']+)'", said)
        assert found is not None, said
        self.address = found[1]

    def add_node(self) -> None:
        """One more node."""
        self._start(f"--address={self.address}")

    def raylets(self) -> list[int]:
        """The processes that are its nodes, the head's first."""
        found = subprocess.run(
            ["pgrep", "-f", f"raylet/raylet .*{self.address}"], capture_output=True, text=True
        )
        return sorted(int(pid) for pid in found.stdout.split())

    def workers(self) -> list[int]:
        """The processes that carry out tasks, or wait for some."""
        found = [*self.raylets()]
        children = subprocess.run(
            ["pgrep", "-P", ",".join(map(str, found))], capture_output=True, text=True
        )
        return [pid for pid in map(int, children.stdout.split()) if "ray::" in _title(pid)]

    def _start(self, *arguments: str) -> str:
        started = subprocess.run(
            [
                BIN / "ray", "start", *arguments, "--num-cpus=1",
                "--object-store-memory=80000000", "--disable-usage-stats",
            ],
            env=self.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert started.returncode == 0, started.stdout + started.stderr
        return started.stdout + started.stderr

    def stop(self) -> None:
        """All that belongs to it."""
        session = str((self.folder / "session_latest").resolve())
        found = subprocess.run(["pgrep", "-f", session], capture_output=True, text=True)
        for pid in [*self.workers(), *map(int, found.stdout.split())]:
            if pid != os.getpid():
                subprocess.run(["kill", "-9", str(pid)], capture_output=True)


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster with its head; stopped at the end."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        "RAY_enable_open_telemetry": "0",
    }
    with tempfile.TemporaryDirectory(
        prefix="ray", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        cluster = RayCluster(Path(folder), environment)
        try:
            cluster.add_head()
            yield cluster
        finally:
            cluster.stop()
