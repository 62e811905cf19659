"""Runs that are asked for on Prefect's dashboard and carried out by `cord serve`'s worker."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chaos.processes import kill_group
from benchmarks.chaos.victims import ChildProcess
from benchmarks.chaos.workshop import Workshop

DEPLOYMENT = "refresh/cord"
WORKER = ChildProcess("decode worker", "multiprocessing.spawn")
"""The process of one flow run, which Prefect's runner in `cord serve` spawns."""


@dataclass
class DashboardWorkshop(Workshop):
    """Its runs are carried out under `cord serve`; "the same command" is Run, then Retry."""

    _serving: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def note(self) -> Path:
        """Where the id of the flow run is kept that is asked for again."""
        return self.folder / "flow-run"

    def serve(self) -> int:
        """The process id of `cord serve`, started where it does not run."""
        if self._serving is None or self._serving.poll() is not None:
            self._serving = self.start("serve", "--limit", "1")
        return self._serving.pid

    def run(self) -> subprocess.Popen[bytes]:
        """Start a process that asks for the run, and ends when the run has ended."""
        self.serve()
        asking = (sys.executable, "-m", "benchmarks.chaos.asking")
        return self.spawn([*asking, self.lake, str(self.folder / "recipe.yaml"), str(self.note)])

    def resume(self) -> subprocess.Popen[bytes]:
        """The same: what is resumed is retried."""
        return self.run()

    def close(self) -> None:
        """Serve no more."""
        if self._serving is not None:
            kill_group(self._serving.pid)
            self._serving.wait()
