"""The task runs of a flow, heard of as they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from prefect.futures import PrefectFuture

About = TypeVar("About")

LOOK_EVERY_S = 2.0
"""How often the progress is looked at while nothing ends."""


class TaskRuns(Generic[About]):
    """Task runs with what each is about; iterating waits for them, and more may be added meanwhile.

    Each is heard of once: `prefect.futures.wait` would leave a callback behind at every look."""

    def __init__(self, look: Callable[[], None]) -> None:
        """`look` is called before each wait, and every 2 s of it."""
        self._look = look
        self._about: dict[PrefectFuture[Any], About] = {}
        self._ended: SimpleQueue[PrefectFuture[Any]] = SimpleQueue()

    def add(self, future: PrefectFuture[Any], about: About) -> None:
        """One more to wait for."""
        self._about[future] = about
        future.add_done_callback(self._ended.put)

    def __iter__(self) -> Iterator[tuple[PrefectFuture[Any], About]]:
        """Each with what it is about, in its final state, as it ends."""
        while self._about:
            self._look()
            try:
                future = self._ended.get(timeout=LOOK_EVERY_S)
            except Empty:
                continue
            future.wait()  # or its state is asked of Prefect's server, which may be away
            yield future, self._about.pop(future)


def error_of(future: PrefectFuture[Any]) -> BaseException | None:
    """What a task run that has ended failed with; None where it was completed."""
    if future.state.is_completed():
        return None
    error = future.state.result(raise_on_failure=False)
    return error if isinstance(error, BaseException) else RuntimeError(str(error))
