"""A Ray cluster that carries out a run's shards: joined, looked at, told to stop, left."""

from __future__ import annotations

import copyreg
import importlib
import importlib.util
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from prefect import Task
from prefect.settings import PREFECT_API_URL
from prefect.task_runners import TaskRunner

from cord.errors import CordError, LakeError, UsageError
from cord.lake import Lake
from cord.lake.runs.stop_mark import ask_to_stop, take_stop_back
from cord.recipe import Recipe
from flows.servers import any_managed
from tasks.board import BOARD, DASHBOARD_LOG

LOOK_EVERY_S = 0.5
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def require_ray(recipe: Recipe) -> None:
    """Raises `UsageError` where this recipe cannot run on Ray, or Ray is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("ray", "prefect_ray")):
        raise UsageError("run.runner: ray needs Ray: pip install 'cord-factory[ray]'")
    if any_managed(recipe):
        raise UsageError(
            "run.runner: ray shares its models' servers among many machines, so cord cannot start "
            "them: serve the models (docs/teachers.md) and give each its `url`"
        )


@contextmanager
def open_ray(recipe: Recipe, lake: Lake, run_id: str) -> Iterator[TaskRunner[Any]]:
    """Join the cluster while the block runs; a run that is asked to stop stops there too.

    Raises `UsageError` as `require_ray`, and `CordError` where the cluster cannot be joined."""
    require_ray(recipe)
    copyreg.pickle(Task, _by_name)
    from prefect_ray.context import remote_options
    from prefect_ray.task_runners import RayTaskRunner

    with (
        _joined(recipe),
        passing_stop_on(lake, run_id),
        remote_options(**options_of(recipe)),
        RayTaskRunner() as runner,
    ):
        yield runner


def _by_name(task: Task[..., Any]) -> tuple[Callable[..., Any], tuple[str, str, int]]:
    """How a task goes to a worker: by its name. By value, as Ray would send it, whatever its
    function refers to would be copied, locks and boards of this process included."""
    return _named, (task.fn.__module__, task.fn.__qualname__, task.retries)


def _named(module: str, name: str, retries: int) -> Task[..., Any]:
    found: Task[..., Any] = getattr(importlib.import_module(module), name)
    return found.with_options(retries=retries)


def options_of(recipe: Recipe) -> dict[str, Any]:
    """What one shard takes, as Ray's own options. A worker that is lost costs a retry."""
    resources = dict(recipe.run.ray_resources)
    return {
        "num_cpus": recipe.run.ray_cpus,
        "num_gpus": resources.pop("GPU", 0.0),
        "resources": resources,
        "max_retries": recipe.run.retries,
    }


def address_of(recipe: Recipe) -> str:
    """Of the cluster: the recipe's, else RAY_ADDRESS, else `auto`, the one that this machine is
    a node of."""
    return recipe.run.ray_address or os.environ.get("RAY_ADDRESS") or "auto"


@contextmanager
def _joined(recipe: Recipe) -> Iterator[None]:
    import ray

    address = address_of(recipe)
    _require_answer(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(
            address=address, namespace="cord", log_to_driver=False, logging_level=logging.ERROR
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise CordError(_cannot_join(address, str(error))) from None
    try:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        _look_at_nodes(recipe, [node for node in nodes if node["Alive"]])
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Ray itself would try for minutes, and write of it all over the terminal."""
    if address in ("auto", "local"):
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.hostname is None or port is None:
        raise UsageError(
            f"{address!r} is no address of a Ray cluster: run.ray_address (or RAY_ADDRESS) is "
            "`auto`, `HOST:6379` or `ray://HOST:10001`"
        )
    try:
        socket.create_connection((parts.hostname, port), timeout=5).close()
    except OSError as error:
        raise CordError(_cannot_join(address, str(error))) from None


def _cannot_join(address: str, why: str) -> str:
    said = why.strip().splitlines()[0] if why.strip() else "it does not answer"
    if address == "auto":
        return (
            f"this machine is no node of a Ray cluster ({said}); join one with `ray start "
            "--address=HEAD:6379`, begin one with `ray start --head`, or name it in run.ray_address"
        )
    return (
        f"the Ray cluster at {address} cannot be joined ({said}); see that `ray status` answers "
        "there, and that this machine is a node of it (`ray start --address=...`) or goes by "
        "`ray://HOST:10001`"
    )


def _look_at_nodes(recipe: Recipe, nodes: list[dict[str, Any]]) -> None:
    """Raises `CordError` where other machines of the cluster cannot reach Prefect's server."""
    from ray.util import get_node_ip_address

    own = get_node_ip_address()  # type: ignore[no-untyped-call]
    others = sorted({node["NodeManagerAddress"] for node in nodes} - {own, "127.0.0.1"})
    server = PREFECT_API_URL.value()
    if others and server and urlsplit(server).hostname in _LOOPBACK:
        raise CordError(
            f"the Ray cluster has nodes on other machines ({', '.join(others[:3])}), which cannot "
            f"reach the Prefect server at {server}; start one with `prefect server start --host "
            "0.0.0.0` and set PREFECT_API_URL to its address as the nodes see it"
        )
    wanted = {"CPU": recipe.run.ray_cpus, **recipe.run.ray_resources}
    if not any(all(n["Resources"].get(k, 0) >= v for k, v in wanted.items()) for n in nodes):
        asked = ", ".join(f"{name}: {number:g}" for name, number in wanted.items())
        DASHBOARD_LOG.warning(
            f"no node of the Ray cluster has what a shard takes ({asked}); waiting for one to join"
        )


@contextmanager
def passing_stop_on(lake: Lake, run_id: str) -> Iterator[None]:
    """While the block runs, that this process is asked to stop is said to the workers."""
    take_stop_back(lake, run_id)  # of a process that died
    over = threading.Event()

    def pass_on() -> None:
        while not over.wait(LOOK_EVERY_S):
            if BOARD.stop.is_set():
                with suppress(LakeError):  # tried again
                    ask_to_stop(lake, run_id)
                    return

    thread = threading.Thread(target=pass_on, name="stop mark", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(LakeError):
            take_stop_back(lake, run_id)
