"""Fixtures for tests that run the whole factory as a user does: `cord` as a process of its own.

`factory` gives a folder with a small recipe, its problems and an empty lake; one real Prefect
server on loopback serves the whole session (a run would otherwise start one of its own each time).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from warm_cord import run_cord

from cord.miniature.problems import distinct

BIN = Path(sys.executable).parent
STARTER: dict[str, Any] = {
    "name": "small",
    "problems": {"path": "problems.jsonl"},
    "teachers": [
        {"name": n, "model": f"cord:{n}", "temperature": 0.6} for n in ("ada", "ben", "cyd")
    ],
    "meta_prover": {"model": "cord:meta"},
    "search": {"width": 4, "max_steps": 12, "max_step_tokens": 48, "max_tokens": 400},
    "run": {"seed": 7, "shards": 2, "workers": 2, "retries": 1},
}


@dataclass
class Ran:
    """What a `cord` process did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of standard output as JSON."""
        return json.loads(self.out.strip().splitlines()[-1])


@dataclass
class Factory:
    """A user's folder: a recipe, problems, a lake."""

    folder: Path
    environment: dict[str, str]
    lake: str
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def recipe_path(self) -> Path:
        return self.folder / "recipe.yaml"

    def write_recipe(self, **changes: Any) -> Path:
        """Write the starter recipe with some keys changed (None removes one)."""
        self.recipe = {k: v for k, v in {**STARTER, **changes}.items() if v is not None}
        self.recipe_path.write_text(yaml.safe_dump(self.recipe, sort_keys=False))
        return self.recipe_path

    def write_problems(self, count: int, extra: list[bytes] | None = None) -> Path:
        """Write `count` problems of the miniature, and raw lines behind them."""
        path = self.folder / "problems.jsonl"
        lines = [
            json.dumps({"id": f"p{i:03d}", "question": c.question, "answer": c.answer}).encode()
            for i, c in enumerate(distinct("demo", count, seed=5))
        ]
        path.write_bytes(b"\n".join([*lines, *(extra or [])]) + b"\n")
        return path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `cord` with these arguments, as a shell does."""
        return subprocess.Popen(
            [str(BIN / "cord"), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def cord(self, *arguments: str, timeout: float = 300) -> Ran:
        """Run `cord` to its end (`warm_cord`)."""
        return Ran(*run_cord(arguments, self.folder, self.environment, timeout))

    def run(self, *arguments: str) -> Ran:
        """`cord run` of the recipe, with JSON output."""
        return self.cord("run", "recipe.yaml", "--json", *arguments)

    def ask(self, sql: str, *arguments: str) -> Any:
        """Rows of a query."""
        ran = self.cord("query", sql, "--format", "json", *arguments)
        assert ran.code == 0, ran.err
        return ran.json


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment that points at a real Prefect server of this session."""
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    environment.pop("PREFECT_API_URL", None)
    log = (home / "server.log").open("w")
    server = subprocess.Popen(
        [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}/api"
    try:
        _wait(url, server, home / "server.log")
        yield {**environment, "PREFECT_API_URL": url}
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
        log.close()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise RuntimeError(f"the Prefect server did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture
def factory(tmp_path: Path, prefect_server: dict[str, str]) -> Factory:
    """A fresh folder with eight problems, a recipe and an empty lake."""
    lake = str(tmp_path / "lake")
    environment = {**prefect_server, "CORD_LAKE": lake}
    made = Factory(tmp_path, environment, lake)
    made.write_recipe()
    made.write_problems(8)
    return made
