"""A user's folder with a recipe and its problems, and `cord` as a process of its own in it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.chaos.processes import MARK, kill_group
from benchmarks.chaos.servers import BIN
from cord.lake import Lake, open_lake
from cord.miniature.problems import distinct

COUNTED = Path(__file__).parent / "counted"
ROOT = Path(__file__).parents[2]
EMBEDDED: dict[str, Any] = {
    "teachers": [
        {"name": n, "model": f"cord:{n}", "temperature": 0.6} for n in ("ada", "ben", "cyd")
    ],
    "meta_prover": {"model": "cord:meta"},
}
SEARCH = {"width": 4, "max_steps": 12, "max_step_tokens": 48, "max_tokens": 400}
BAD_LINES = (
    b'{"id": "torn", "question": "Start 1',
    b'{"id": "unanswered", "question": "Start 3; +3; +4; *2; rev", "answer": ""}',
    b'{"id": "bytes", "question": "\xff\xfe", "answer": "1"}',
)
"""Every source has some: they go to quarantine, each once."""


@dataclass
class Workshop:
    """One lake and the recipe that is run into it."""

    folder: Path
    lake: str
    environment: dict[str, str]
    """What its processes get beside this process's own."""
    mark: str
    """Of its processes (`processes.MARK`)."""
    run_id: str = "trial"
    models: Mapping[str, Any] = field(default_factory=lambda: EMBEDDED)

    @property
    def counter(self) -> Path:
        """A byte for each token that its processes have sampled."""
        return self.folder / "tokens"

    @property
    def tokens(self) -> int:
        """Sampled by embedded models in all its processes so far."""
        return self.counter.stat().st_size if self.counter.exists() else 0

    @property
    def said(self) -> str:
        """What its processes wrote to standard error."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def out(self) -> str:
        """What the latest process wrote to standard output."""
        return (self.folder / "out").read_text(errors="replace")

    @property
    def stage(self) -> str:
        """Where the latest process said it was."""
        lines = [line for line in self.said.splitlines() if line.startswith("cord: ")]
        return lines[-1].removeprefix("cord: ")[:60] if lines else "starting"

    def write(self, problems: int, seed: int = 7, **run: Any) -> None:
        """Write the problems and the recipe; `run` is about execution alone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [
            json.dumps({"id": f"p{i:04d}", "question": c.question, "answer": c.answer}).encode()
            for i, c in enumerate(distinct("demo", problems, seed=5))
        ]
        (self.folder / "problems.jsonl").write_bytes(b"\n".join([*lines, *BAD_LINES]) + b"\n")
        recipe = {
            "name": "chaos",
            "problems": {"path": "problems.jsonl"},
            **self.models,
            "search": SEARCH,
            "run": {"seed": seed, "retries": 1, **run},
            "contract": {"min_records": 0},
        }
        (self.folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `cord` with these arguments."""
        return self.spawn([str(BIN / "cord"), *arguments])

    def spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program, the leader of a group of its own."""
        paths = [str(COUNTED), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with self._log.open("ab") as said, (self.folder / "out").open("wb") as out:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={
                    **{k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")},
                    **self.environment,
                    "CORD_LAKE": self.lake,
                    "CORD_CHAOS_TOKENS": str(self.counter),
                    "PYTHONPATH": os.pathsep.join(paths),
                    MARK: self.mark,
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=said,
                start_new_session=True,
            )

    def run(self) -> subprocess.Popen[bytes]:
        """Start the recipe's run."""
        return self.start("run", "recipe.yaml", "--run-id", self.run_id, "--json")

    def resume(self) -> subprocess.Popen[bytes]:
        """Resume it by its name."""
        return self.start("resume", self.run_id, "--json")

    def cord(self, *arguments: str, within_s: float = 300) -> int:
        """Run `cord` to its end; its exit code."""
        process = self.start(*arguments)
        try:
            return process.wait(within_s)
        finally:
            kill_group(process.pid)

    def close(self) -> None:
        """Nothing of it is to run any longer."""

    @contextmanager
    def opened(self) -> Iterator[Lake]:
        """The lake, opened in this process, with the keys that its processes have."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            yield open_lake(self.lake)
        finally:
            os.environ.clear()
            os.environ.update(before)

    @property
    def _log(self) -> Path:
        return self.folder / "said"


def wait_s(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait so long; True when the process has ended by then."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(0.01, left))
    return process.poll() is not None
