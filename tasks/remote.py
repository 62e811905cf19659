"""A task that is carried out on another machine (a worker process of Ray).

There Ctrl-C is not heard, so the run's stop mark in the lake is looked at; and errors about what
that machine lacks say which machine it is.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cord.errors import EngineError, LakeError
from cord.lake import Lake
from cord.lake.runs.stop_mark import is_asked_to_stop
from tasks.board import BOARD

LOOK_EVERY_S = 2.0
"""At the run's stop mark, by each process: how much later than Ctrl-C it stops, at most."""

_heeded: set[tuple[str, str]] = set()
_lock = threading.Lock()


def in_worker() -> bool:
    """Whether this process is a worker of Ray's; the flow's own process is not."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return False
    return bool(ray.get_runtime_context().worker.mode == ray.WORKER_MODE)


def heed_stop(lake: Lake, run_id: str) -> None:
    """From now on this process stops when the run is asked to, if it is a worker.

    A worker serves one flow process and ends with it: what it looks at is never another's."""
    if not in_worker():
        return
    with _lock:
        if (lake.uri, run_id) in _heeded:
            return
        _heeded.add((lake.uri, run_id))
    if is_asked_to_stop(lake, run_id):
        BOARD.stop.set()
    watch = threading.Thread(target=_watch, args=(lake, run_id), name="stop mark", daemon=True)
    watch.start()


def _watch(lake: Lake, run_id: str) -> None:
    pause = threading.Event()
    while not pause.wait(LOOK_EVERY_S):
        with suppress(LakeError):  # a lake that is away says nothing
            if is_asked_to_stop(lake, run_id):
                BOARD.stop.set()


@contextmanager
def naming_the_node() -> Iterator[None]:
    """Errors of models and of the lake say on which machine they came up, on a worker."""
    try:
        yield
    except (EngineError, LakeError) as error:
        if in_worker():
            error.args = (f"on node {socket.gethostname()}: {error}",)
        raise
