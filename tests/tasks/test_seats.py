"""Places at a server that several processes share: on a real Prefect server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from factory import STARTER
from prefect_process import PrefectProcess

from cord.recipe import Recipe
from tasks.seats import limit_of, limits_of

FLOW = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from cord.recipe import Recipe
from tasks import seats

seats.LEASE_S = 3.0
recipe = Recipe.model_validate_json(sys.argv[1])
shards, seconds = int(sys.argv[2]), float(sys.argv[3])

def decode(shard):
    with seats.place_at_servers(recipe):
        print("takes", flush=True)
        time.sleep(seconds)

with ThreadPoolExecutor(4) as pool:
    list(pool.map(decode, range(shards)))
"""


def recipe_at(url: str) -> Recipe:
    served = {"model": "a/model", "url": url}
    return Recipe.model_validate(
        {**STARTER, "teachers": [{"name": "a", **served}], "meta_prover": "a"}
    )


def test_a_limit_is_named_after_host_and_port() -> None:
    assert limit_of("http://gpu-1:8000/v1") == "cord-gpu-1-8000"
    assert limit_of("https://GPU-1.example.org/v1") == "cord-gpu-1.example.org-443"
    assert limit_of("http://[::1]:8000/v1") == "cord---1-8000"
    assert limits_of(recipe_at("http://gpu-1:8000/v1")) == ["cord-gpu-1-8000"]
    assert limits_of(Recipe.model_validate(STARTER)) == [], "embedded models have no server"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectProcess]:
    settings = {"PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "1"}
    made = PrefectProcess(tmp_path_factory.mktemp("seats"), settings=settings)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def start(server: PrefectProcess, port: int, shards: int, seconds: float, said: Path) -> Flow:
    return Flow(server, recipe_at(f"http://gpu-1:{port}/v1"), shards, seconds, said)


class Flow:
    """A process that decodes shards, four at a time."""

    def __init__(
        self, server: PrefectProcess, recipe: Recipe, shards: int, seconds: float, said: Path
    ) -> None:
        self._said = said
        with said.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", FLOW, recipe.model_dump_json(), f"{shards}", f"{seconds}"],
                env=server.environment,
                stdout=out,
            )

    @property
    def turns(self) -> int:
        """How many of its shards have had a place."""
        return self._said.read_text().count("takes")

    def until(self, turns: int) -> None:
        deadline = time.monotonic() + 120
        while self.turns < turns:
            assert time.monotonic() < deadline, self.turns
            time.sleep(0.05)


def limit(server: PrefectProcess, port: int, places: int) -> None:
    server.ask("v2/concurrency_limits/", name=f"cord-gpu-1-{port}", limit=places)


@pytest.mark.slow
@pytest.mark.xdist_group("seats")
def test_flows_that_share_a_server_take_turns(server: PrefectProcess, tmp_path: Path) -> None:
    limit(server, 8000, 2)
    # The one that comes first has taken all places, and has work enough to keep them.
    first = start(server, 8000, 400, 0.2, tmp_path / "first")
    first.until(4)
    second = start(server, 8000, 400, 0.2, tmp_path / "second")
    try:
        second.until(1)
        before = first.turns
        second.until(9)
        by_first, by_second = first.turns - before, 8
        assert 1 / 3 <= by_second / max(1, by_first) <= 3, (by_first, by_second)
    finally:
        for flow in (first, second):
            flow.process.kill()
            flow.process.wait()


@pytest.mark.slow
@pytest.mark.xdist_group("seats")
def test_the_place_of_a_killed_process_is_free_when_its_lease_has_run_out(
    server: PrefectProcess, tmp_path: Path
) -> None:
    limit(server, 8001, 1)
    dead = start(server, 8001, 1, 600, tmp_path / "dead")
    dead.until(1)
    dead.process.kill()
    dead.process.wait()
    living = start(server, 8001, 2, 0, tmp_path / "living")
    assert living.process.wait(120) == 0
    assert living.turns == 2


@pytest.mark.slow
@pytest.mark.xdist_group("seats")
def test_where_there_is_no_limit_or_no_server_nobody_waits(
    server: PrefectProcess, tmp_path: Path
) -> None:
    free = start(server, 8002, 4, 0, tmp_path / "free")
    assert free.process.wait(120) == 0
    away = PrefectProcess(tmp_path)
    alone = start(away, 8002, 4, 0, tmp_path / "alone")
    assert alone.process.wait(120) == 0
    assert (free.turns, alone.turns) == (4, 4)
