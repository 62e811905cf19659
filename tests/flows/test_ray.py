"""`run.runner: ray` on a real cluster of two nodes: the same release, whatever is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from factory import STARTER, Factory

from benchmarks.ray_cluster import RayCluster, ray_cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as made:
        made.add_node()
        yield made


@pytest.fixture
def on_ray(factory: Factory, cluster: RayCluster) -> Factory:
    factory.environment["RAY_ADDRESS"] = cluster.address
    write(factory, "ray")
    return factory


def write(factory: Factory, runner: str, **run: Any) -> None:
    """A recipe of four shards, few problems of each in flight so that a run takes a while."""
    settings = {"shards": 4, "in_flight": 2, "retries": 3, "runner": runner, **run}
    factory.write_recipe(run={**STARTER["run"], **settings})


def until_decided(factory: Factory, rounds: int) -> None:
    """Until so many rounds are in journals or tables: decoding is under way."""
    deadline = time.monotonic() + 400
    while len(list(Path(factory.lake).glob("journals/*/*/*/*.jsonl"))) < rounds:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def until_working(cluster: RayCluster, number: int) -> None:
    """Until so many workers carry out tasks."""
    deadline = time.monotonic() + 400
    while len(cluster.workers()) < number:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def manifest_hash(factory: Factory) -> str:
    found = factory.ask("select content_hash from releases order by version desc limit 1")
    return str(found[0]["content_hash"])


def sound(factory: Factory, release: str) -> None:
    for of in (release, "--lake"):
        verified = factory.cord("verify", of)
        assert verified.code == 0, verified.out + verified.err


def test_two_nodes_make_the_release_that_threads_make(on_ray: Factory) -> None:
    made = on_ray.run()
    assert made.code == 0, made.err
    by_ray = manifest_hash(on_ray)
    sound(on_ray, made.json["release"])

    write(on_ray, "threads")
    on_ray.lake = on_ray.environment["CORD_LAKE"] = on_ray.lake + "-threads"
    alone = on_ray.run()
    assert alone.code == 0, alone.err
    assert alone.json["run_id"] == made.json["run_id"], "how it is carried out names nothing"
    assert manifest_hash(on_ray) == by_ray


def test_ctrl_c_a_dead_flow_and_a_lost_node_cost_what_was_in_flight(
    on_ray: Factory, cluster: RayCluster
) -> None:
    on_ray.write_problems(24)
    flow = on_ray.start("run", "recipe.yaml", "--run-id", "lossy")
    until_decided(on_ray, 2)
    os.kill(flow.pid, signal.SIGINT)
    _, said = flow.communicate(timeout=400)
    assert flow.returncode == 130, said
    assert "`cord resume lossy` goes on" in said

    flow = on_ray.start("resume", "lossy")
    until_working(cluster, 2)
    flow.kill()
    flow.communicate()
    deadline = time.monotonic() + 60
    while cluster.workers():
        assert time.monotonic() < deadline, "workers go on without the flow that they work for"
        time.sleep(0.2)

    flow = on_ray.start("resume", "lossy", "--json")
    until_working(cluster, 2)
    cluster.kill_newest_node()
    _, said = flow.communicate(timeout=500)
    assert flow.returncode == 0, said
    release = str(on_ray.ask("select max(name || '@' || version) as r from releases")[0]["r"])
    sound(on_ray, release)
    rows = on_ray.ask(
        "select count(*) n, count(distinct (problem_id, rank)) d, count(distinct problem_id) p "
        "from trajectories"
    )[0]
    assert rows["n"] == rows["d"]
    assert rows["p"] == 24


def test_a_cluster_that_is_not_there_is_a_sentence(factory: Factory) -> None:
    write(factory, "ray", ray_address="127.0.0.1:1")
    ran = factory.run()
    assert ran.code == 1
    assert "the Ray cluster at 127.0.0.1:1 cannot be joined" in ran.err
    assert "Traceback" not in ran.err
    write(factory, "ray", ray_address="not an address")
    assert "is no address of a Ray cluster" in factory.run().err
