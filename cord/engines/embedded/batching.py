"""Many callers, one worker: what waits is run together.

Callers live in several event loops and threads (each Prefect task thread runs its own loop). One
worker thread takes the oldest waiting ticket, waits a moment for company, and runs it with
everything else that waits for the same work. A ticket is settled as soon as its own result is
known; one whose caller has gone away is never started, and work under way can see that it is gone.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any, Generic, TypeVar

from cord.errors import CordError, EngineError

Job = TypeVar("Job")
Result = TypeVar("Result")

LINGER_S = 0.002
"""How long the first ticket of a batch waits for others: about one decoding step."""
JOIN_S = 10.0
"""How long closing waits for the step under way."""


class Ticket(Generic[Job, Result]):
    """One job and the promise of its result."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.future: Future[Result] = Future()

    @property
    def settled(self) -> bool:
        """It has a result or an error, or its caller has gone away: work no more for it."""
        return self.future.done()

    def done(self, result: Result) -> None:
        """Hand the result over; a caller that has gone away loses it."""
        try:
            self.future.set_result(result)
        except InvalidStateError:  # cancelled between two looks
            return

    def failed(self, error: Exception) -> None:
        """Hand an error over."""
        try:
            self.future.set_exception(error)
        except InvalidStateError:
            return


Run = Callable[[Sequence[Ticket[Job, Result]]], None]
"""Runs a batch and settles each of its tickets. An exception fails the tickets still open."""


class _Queue:
    """What the worker thread sees. It must not hold the batcher, nor, while it is idle, any work:
    an engine that nobody holds any more then ends its thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.changed = threading.Condition()
        self.waiting: deque[tuple[Run[Any, Any], Ticket[Any, Any]]] = deque()
        self.running: Sequence[Ticket[Any, Any]] = ()
        self.closed = False

    def take(self) -> tuple[Run[Any, Any], list[Ticket[Any, Any]]] | None:
        """The next batch, oldest first; None once closed."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.closed)
            until = time.monotonic() + LINGER_S
            while len(self.waiting) < self.limit and not self.closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self.changed.wait(left)
            if self.closed:
                return None
            run = self.waiting[0][0]
            batch: list[Ticket[Any, Any]] = []
            others: deque[tuple[Run[Any, Any], Ticket[Any, Any]]] = deque()
            for entry in self.waiting:
                if entry[1].settled:
                    continue
                if entry[0] == run and len(batch) < self.limit:
                    batch.append(entry[1])
                else:
                    others.append(entry)
            self.waiting = others
            self.running = batch
            return run, batch

    def close(self) -> None:
        """Refuse new tickets and fail the open ones, running ones included."""
        with self.changed:
            self.closed = True
            open_tickets = [ticket for _, ticket in self.waiting] + list(self.running)
            self.waiting.clear()
            self.changed.notify_all()
        for ticket in open_tickets:
            ticket.failed(EngineError("the engine was closed while this request was waiting"))


def _work(queue: _Queue, prepare: Callable[[], None] | None) -> None:
    if prepare is not None:
        prepare()
    while (taken := queue.take()) is not None:
        run, batch = taken
        error = _failure(run, batch)
        if len(batch) > 1:
            # Whoever it was, it costs none but its own: the others fare well alone.
            for ticket in batch:
                if not ticket.settled:
                    ticket.failed(_failure(run, [ticket]))  # no-op for the settled ones
        for ticket in batch:
            ticket.failed(error)
        queue.running = ()
        del taken, run, batch, error  # an idle worker holds nothing alive


def _failure(run: Run[Any, Any], batch: Sequence[Ticket[Any, Any]]) -> Exception:
    """Run a batch; the error for those of it that have no result then."""
    try:
        if batch:
            run(batch)
    except CordError as error:
        return error
    except Exception as error:
        failure = EngineError(f"the engine failed: {type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure
    return EngineError("the engine ended a batch without answering this request")


def _stop(queue: _Queue, thread: threading.Thread) -> None:
    queue.close()
    if thread is not threading.current_thread():
        thread.join(JOIN_S)


class Batcher:
    """A worker thread that runs waiting tickets in batches of at most `limit`.

    `prepare` runs once in the worker thread, before any work. The thread ends with `close`, with
    the last reference to the batcher, or with the interpreter, whichever comes first.
    """

    def __init__(self, name: str, limit: int, prepare: Callable[[], None] | None = None) -> None:
        self._queue = _Queue(limit)
        self._thread = threading.Thread(
            target=_work, args=(self._queue, prepare), name=name, daemon=True
        )
        self._end = weakref.finalize(self, _stop, self._queue, self._thread)
        self._thread.start()

    def submit(self, run: Run[Job, Result], job: Job) -> Future[Result]:
        """Queue a job for `run`. Raises `EngineError` once closed."""
        ticket: Ticket[Job, Result] = Ticket(job)
        with self._queue.changed:
            if self._queue.closed:
                raise EngineError("the engine is closed")
            self._queue.waiting.append((run, ticket))
            self._queue.changed.notify_all()
        return ticket.future

    def close(self) -> None:
        """Stop the worker and fail what is open. A second call does nothing."""
        self._end()
