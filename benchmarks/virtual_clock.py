"""An event loop whose time is virtual: nothing is waited for, time jumps to the next timer.

Everything else is asyncio's own loop, so that code written with `asyncio.sleep` runs as it would by
the clock, in the same order, hours in seconds. It looks at no file and no socket, and knows no
other threads.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class VirtualClock(asyncio.SelectorEventLoop):
    """`loop.time()` is virtual, from 0 on, in seconds."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class _Jump(selectors.SelectSelector):
    """What the loop waits with: it lets the time pass that it was to wait."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for something that no timer will bring about")
        if timeout > 0:
            self._clock.jump(timeout)
        return []


def run_virtually(main: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run`, on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualClock) as runner:
        return runner.run(main)
