"""The vLLM servers that cord starts itself: shown as they start, stopped when the command ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from cord.engines.managed.keeper import Starting, any_server, servers_starting, stop_servers
from cord.recipe import Recipe
from cord.scheduler import Stopped
from flows.telling import telling
from tasks.board import BOARD, Board

T = TypeVar("T")
LOOK_EVERY_S = 0.25


def any_managed(recipe: Recipe) -> bool:
    """Whether cord serves any of the recipe's models itself."""
    return any(model.managed for model in (*recipe.teachers, *recipe.roles.values()))


async def showing_starts(work: Coroutine[Any, Any, T], board: Board = BOARD) -> T:
    """Await `work`, with the board showing what servers start meanwhile.

    Raises `Stopped` when the board asks to stop; `work` is then cancelled."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_EVERY_S))[0]:
            if board.stop.is_set():
                raise Stopped("stopped on request")
            if starting := servers_starting():
                board.enter(*_told(starting))
        return await task
    finally:
        task.cancel()


def _told(starting: Sequence[Starting]) -> tuple[str, str]:
    """Stage and detail: `starting vLLM for QwQ-32B (GPUs 0, 1)`, `loading weights, 42 s`."""
    seconds = f"{max(one.seconds for one in starting):.0f} s"
    if len(starting) == 1:
        return f"starting vLLM for {starting[0].title}", f"{starting[0].phase}, {seconds}"
    doing = "; ".join(f"{one.title}: {one.phase}" for one in starting)
    return f"starting {len(starting)} vLLM servers", f"{doing}, {seconds}"


@contextmanager
def servers_end(say: Callable[[str], None], board: Board = BOARD) -> Iterator[None]:
    """However the block ends, none of the servers started in it is left.

    That one has died and is started again is said while the block runs. One such block may stand
    within another."""
    try:
        with telling(say):
            yield
    finally:
        if any_server():
            board.enter("stopping vLLM")
            stop_servers()
