"""A run at work in this process: held by its lease, and its end noted in the lake.

Both the command line and the flow enter it, so that a flow that Prefect itself starts (its retry, a
deployment) is as safe as `cord run`; within one process the outermost counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import datetime
from typing import TypeVar

from cord.errors import ContractBroken, CordError, LakeError, RunHeld, RunLost
from cord.lake import Lake
from cord.lake.runs.holding import Hold, take_hold
from cord.lake.runs.run import RunDocument, State, now, require_run, save_run
from cord.scheduler import Stopped
from flows.counters import counted
from tasks.board import BOARD

T = TypeVar("T")
LISTEN_EVERY_S = 0.2
"""How soon a signal is heard at the latest."""
LOOK_AGAIN_S = 5.0
"""How often it is looked whether a run is free."""


def hold_run(lake: Lake, run_id: str) -> Hold:
    """Hold a run; should the hold be lost, it stops as if the user had asked for it.

    Raises `RunHeld` when another process carries it out."""
    return take_hold(lake, run_id, on_lost=BOARD.stop.set)


def once_free(begin: Callable[[], T]) -> T:
    """`begin` what takes a run, as soon as a holder on another machine that is dead lets go of it:
    up to 70 s, when its lease has ended. For runs that Prefect has tried again by itself.

    Raises `RunHeld` when the holder lives: it renews its lease meanwhile."""
    last: datetime | None = None
    while True:
        try:
            return begin()
        except RunHeld as held:
            if held.renewed_at is None or last not in (None, held.renewed_at):
                raise
            last = held.renewed_at
        if BOARD.stop.wait(LOOK_AGAIN_S):
            raise Stopped("stopped on request")


@contextmanager
def at_work(lake: Lake, run_id: str) -> Iterator[None]:
    """While the block runs, this process holds the run and the lake says that it is running; when
    the block fails, the lake says how it ended.

    Raises `RunHeld` when another process carries it out, and `RunLost` instead of whatever the
    block raises when this process held it no more: the lake is then the other's to write."""
    hold = hold_run(lake, run_id)
    try:
        if hold.depth == 1:
            BOARD.stop.clear()  # of an earlier run, or an earlier try, in this process
            save_run(lake, begun(require_run(lake, run_id)))
        with counted(run_id):
            yield
    except BaseException as error:
        if hold.lost is not None:
            raise RunLost(hold.lost) from None
        with suppress(LakeError):  # the run is seen as interrupted all the same
            _note_end(lake, run_id, error)
        raise
    finally:
        hold.close()


def in_its_own_thread(work: Callable[[], T]) -> T:
    """Do it in a thread, out of reach of signals and of event loops.

    In the main thread Prefect turns SIGTERM into an exception at whatever line is running, where a
    callback may swallow it or a task be tried again for it; here that only asks to stop, and is
    raised when the run has stopped. And `prefect flow-run retry` calls a flow within its own event
    loop, where no other one may run."""
    with ThreadPoolExecutor(1, thread_name_prefix="flow") as thread:
        running = thread.submit(copy_context().run, work)
        try:
            # Python's handlers run in the main thread, and a signal that the kernel gives to
            # another one does not wake it (seen: one Ctrl-C in twelve was heard only at the end).
            while not running.done():
                wait([running], timeout=LISTEN_EVERY_S)
        except BaseException:
            BOARD.stop.set()
            wait([running])
            raise
        return running.result()


def begun(document: RunDocument) -> RunDocument:
    """The document of a run that this process begins, or takes up again."""
    update = {"state": "running", "started_at": now(), "ended_at": None, "message": ""}
    return document.model_copy(update=update)


def _note_end(lake: Lake, run_id: str, error: BaseException) -> None:
    """Note that the run has ended without coming to its report."""
    document = require_run(lake, run_id)
    if document.state == "running":
        state, message = _end_of(error)
        update = {"state": state, "ended_at": now(), "message": message}
        save_run(lake, document.model_copy(update=update))


def _end_of(error: BaseException) -> tuple[State, str]:
    match error:
        case ContractBroken():
            return "refused", str(error)
        case Stopped():
            return "interrupted", "stopped by the user"
        case CordError():
            return "failed", str(error)
        case Exception():
            return "failed", repr(error)
        case _:  # a signal, Prefect's cancellation
            return "interrupted", "stopped from outside"
